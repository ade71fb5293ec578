//! The sort that fixes the order of dependencies: CPython's `list.sort`.
//!
//! BuildStream sorts dependencies with a comparison that is not a total order, so the result depends
//! on which items are compared, and keys depend on the result. This makes the comparisons of CPython
//! 3.12 in the same order: natural runs, short ones lengthened by binary insertion, runs merged by
//! the powersort rule, merges that gallop. The algorithm is described in CPython's `listsort.txt`.

/// Wins in a row of one run after which a merge begins to gallop.
const MIN_GALLOP: usize = 7;

/// Sorts the list by `less`, which need not be consistent.
pub(crate) fn sort<T: Copy>(list: &mut [T], less: impl FnMut(T, T) -> bool) {
    let len = list.len();
    if len < 2 {
        return;
    }
    let mut sorter = Sorter {
        list,
        less,
        runs: Vec::new(),
        min_gallop: MIN_GALLOP,
    };
    let min_run = min_run(len);
    let mut start = 0;
    while start < len {
        let mut run = sorter.count_run(start);
        if run < min_run {
            let forced = min_run.min(len - start);
            sorter.insert_into_run(start, run, forced);
            run = forced;
        }
        sorter.collapse_before(run);
        sorter.runs.push(Run {
            start,
            len: run,
            power: 0,
        });
        start += run;
    }
    sorter.collapse_all();
}

/// The least length of a run: the list's length if that is below 64, else 32 to 64 so that the
/// number of runs is a power of two or just below one.
fn min_run(mut len: usize) -> usize {
    let mut rest = 0;
    while len >= 64 {
        rest |= len & 1;
        len >>= 1;
    }
    len + rest
}

#[derive(Clone, Copy)]
struct Run {
    start: usize,
    len: usize,
    /// The depth, in the ideal tree of merges, of the border to the next run.
    power: u32,
}

/// How a merge ends.
enum End {
    /// One side is used up; the rest of the copied side goes where the hole is.
    Used,
    /// One item of the copied side is left, and belongs behind (or before) all of the other side.
    One,
}

struct Sorter<'a, T, F> {
    list: &'a mut [T],
    less: F,
    runs: Vec<Run>,
    min_gallop: usize,
}

impl<T: Copy, F: FnMut(T, T) -> bool> Sorter<'_, T, F> {
    /// The length of the run at `start`; a falling one is turned around.
    fn count_run(&mut self, start: usize) -> usize {
        let len = self.list.len() - start;
        if len == 1 {
            return 1;
        }
        let falls = (self.less)(self.list[start + 1], self.list[start]);
        let mut run = 2;
        while run < len {
            if (self.less)(self.list[start + run], self.list[start + run - 1]) != falls {
                break;
            }
            run += 1;
        }
        if falls {
            self.list[start..start + run].reverse();
        }
        run
    }

    /// Lengthens a run by inserting the items behind it where a binary search puts them.
    fn insert_into_run(&mut self, start: usize, run: usize, forced: usize) {
        for next in start + run..start + forced {
            let pivot = self.list[next];
            let (mut left, mut right) = (start, next);
            while left < right {
                let middle = left + (right - left) / 2;
                if (self.less)(pivot, self.list[middle]) {
                    right = middle;
                } else {
                    left = middle + 1;
                }
            }
            self.list[left..=next].rotate_right(1);
        }
    }

    /// Merges the runs whose borders lie deeper than the one before a new run of this length.
    fn collapse_before(&mut self, new_len: usize) {
        let Some(last) = self.runs.last().copied() else {
            return;
        };
        let power = power(last.start, last.len, new_len, self.list.len());
        while self.runs.len() > 1 && self.runs[self.runs.len() - 2].power > power {
            self.merge_at(self.runs.len() - 2);
        }
        if let Some(last) = self.runs.last_mut() {
            last.power = power;
        }
    }

    fn collapse_all(&mut self) {
        while self.runs.len() > 1 {
            let mut at = self.runs.len() - 2;
            if at > 0 && self.runs[at - 1].len < self.runs[at + 1].len {
                at -= 1;
            }
            self.merge_at(at);
        }
    }

    /// Merges the runs at `at` and behind it.
    fn merge_at(&mut self, at: usize) {
        let (first, second) = (self.runs[at], self.runs[at + 1]);
        self.runs[at].len += second.len;
        self.runs.remove(at + 1);
        // What of the first run is already in place, and what of the second.
        let skip = {
            let run = &self.list[first.start..first.start + first.len];
            gallop_right(&mut self.less, self.list[second.start], run, 0)
        };
        let (start, left) = (first.start + skip, first.len - skip);
        if left == 0 {
            return;
        }
        let right = {
            let run = &self.list[second.start..second.start + second.len];
            let key = self.list[start + left - 1];
            gallop_left(&mut self.less, key, run, second.len - 1)
        };
        if right == 0 {
            return;
        }
        if left <= right {
            self.merge_low(start, left, right);
        } else {
            self.merge_high(start, left, right);
        }
    }

    /// Merges from the front; the first run is the shorter one and is copied away.
    fn merge_low(&mut self, start: usize, left: usize, right: usize) {
        let copy = self.list[start..start + left].to_vec();
        let end = start + left + right;
        // What is left of each; the hole in the list always lies before what is left of the second.
        let (mut left, mut right) = (left, right);
        let how = self.merge_low_loop(&copy, end, &mut left, &mut right);
        let rest = &copy[copy.len() - left..];
        let hole = end - right - left;
        match how {
            End::Used => self.list[hole..hole + left].copy_from_slice(rest),
            End::One => {
                self.list.copy_within(end - right..end, hole);
                self.list[end - 1] = rest[0];
            }
        }
    }

    fn merge_low_loop(
        &mut self,
        copy: &[T],
        end: usize,
        left: &mut usize,
        right: &mut usize,
    ) -> End {
        macro_rules! take_left {
            () => {
                self.list[end - *right - *left] = copy[copy.len() - *left];
                *left -= 1;
                if *left == 1 {
                    return End::One;
                }
            };
        }
        macro_rules! take_right {
            () => {
                self.list[end - *right - *left] = self.list[end - *right];
                *right -= 1;
                if *right == 0 {
                    return End::Used;
                }
            };
        }
        take_right!();
        if *left == 1 {
            return End::One;
        }
        let mut min_gallop = self.min_gallop;
        loop {
            let (mut left_wins, mut right_wins) = (0, 0);
            while left_wins < min_gallop && right_wins < min_gallop {
                if (self.less)(self.list[end - *right], copy[copy.len() - *left]) {
                    (left_wins, right_wins) = (0, right_wins + 1);
                    take_right!();
                } else {
                    (left_wins, right_wins) = (left_wins + 1, 0);
                    take_left!();
                }
            }
            min_gallop += 1;
            loop {
                min_gallop -= usize::from(min_gallop > 1);
                self.min_gallop = min_gallop;
                let rest = &copy[copy.len() - *left..];
                left_wins = gallop_right(&mut self.less, self.list[end - *right], rest, 0);
                if left_wins > 0 {
                    let hole = end - *right - *left;
                    self.list[hole..hole + left_wins].copy_from_slice(&rest[..left_wins]);
                    *left -= left_wins;
                    match *left {
                        0 => return End::Used,
                        1 => return End::One,
                        _ => {}
                    }
                }
                take_right!();
                let key = copy[copy.len() - *left];
                right_wins = gallop_left(&mut self.less, key, &self.list[end - *right..end], 0);
                if right_wins > 0 {
                    let from = end - *right;
                    self.list.copy_within(from..from + right_wins, from - *left);
                    *right -= right_wins;
                    if *right == 0 {
                        return End::Used;
                    }
                }
                take_left!();
                if left_wins < MIN_GALLOP && right_wins < MIN_GALLOP {
                    break;
                }
            }
            min_gallop += 1;
            self.min_gallop = min_gallop;
        }
    }

    /// Merges from the back; the second run is the shorter one and is copied away.
    fn merge_high(&mut self, start: usize, left: usize, right: usize) {
        let copy = self.list[start + left..start + left + right].to_vec();
        let (mut left, mut right) = (left, right);
        match self.merge_high_loop(&copy, start, &mut left, &mut right) {
            End::Used => {
                self.list[start + left..start + left + right].copy_from_slice(&copy[..right]);
            }
            End::One => {
                self.list.copy_within(start..start + left, start + 1);
                self.list[start] = copy[0];
            }
        }
    }

    fn merge_high_loop(
        &mut self,
        copy: &[T],
        start: usize,
        left: &mut usize,
        right: &mut usize,
    ) -> End {
        macro_rules! take_left {
            () => {
                self.list[start + *left + *right - 1] = self.list[start + *left - 1];
                *left -= 1;
                if *left == 0 {
                    return End::Used;
                }
            };
        }
        macro_rules! take_right {
            () => {
                self.list[start + *left + *right - 1] = copy[*right - 1];
                *right -= 1;
                if *right == 1 {
                    return End::One;
                }
            };
        }
        take_left!();
        if *right == 1 {
            return End::One;
        }
        let mut min_gallop = self.min_gallop;
        loop {
            let (mut left_wins, mut right_wins) = (0, 0);
            while left_wins < min_gallop && right_wins < min_gallop {
                if (self.less)(copy[*right - 1], self.list[start + *left - 1]) {
                    (left_wins, right_wins) = (left_wins + 1, 0);
                    take_left!();
                } else {
                    (left_wins, right_wins) = (0, right_wins + 1);
                    take_right!();
                }
            }
            min_gallop += 1;
            loop {
                min_gallop -= usize::from(min_gallop > 1);
                self.min_gallop = min_gallop;
                let rest = &self.list[start..start + *left];
                let place = gallop_right(&mut self.less, copy[*right - 1], rest, *left - 1);
                left_wins = *left - place;
                if left_wins > 0 {
                    let from = start + place;
                    self.list.copy_within(from..start + *left, from + *right);
                    *left = place;
                    if *left == 0 {
                        return End::Used;
                    }
                }
                take_right!();
                let key = self.list[start + *left - 1];
                let place = gallop_left(&mut self.less, key, &copy[..*right], *right - 1);
                right_wins = *right - place;
                if right_wins > 0 {
                    let to = start + *left + place;
                    self.list[to..to + right_wins].copy_from_slice(&copy[place..*right]);
                    *right = place;
                    match *right {
                        0 => return End::Used,
                        1 => return End::One,
                        _ => {}
                    }
                }
                take_left!();
                if left_wins < MIN_GALLOP && right_wins < MIN_GALLOP {
                    break;
                }
            }
            min_gallop += 1;
            self.min_gallop = min_gallop;
        }
    }
}

/// The number of items of a run that belong before the key, equal ones not among them.
fn gallop_left<T: Copy>(
    less: &mut impl FnMut(T, T) -> bool,
    key: T,
    run: &[T],
    hint: usize,
) -> usize {
    gallop(run.len(), hint, |at| less(run[at], key))
}

/// The number of items of a run that belong before the key, equal ones among them.
fn gallop_right<T: Copy>(
    less: &mut impl FnMut(T, T) -> bool,
    key: T,
    run: &[T],
    hint: usize,
) -> usize {
    gallop(run.len(), hint, |at| !less(key, run[at]))
}

/// Where `before` turns false: asks at `hint`, at growing distances from it, then between the last
/// two.
fn gallop(len: usize, hint: usize, mut before: impl FnMut(usize) -> bool) -> usize {
    let (mut last, mut offset) = (0, 1);
    let (mut low, mut high) = if before(hint) {
        let most = len - hint;
        while offset < most && before(hint + offset) {
            last = offset;
            offset = 2 * offset + 1;
        }
        (hint + last + 1, hint + offset.min(most))
    } else {
        let most = hint + 1;
        while offset < most && !before(hint - offset) {
            last = offset;
            offset = 2 * offset + 1;
        }
        (hint + 1 - offset.min(most), hint - last)
    };
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    high
}

/// The depth of the border between two neighbouring runs: the first bit in which their middles, as
/// fractions of the list, differ.
fn power(start: usize, first: usize, second: usize, len: usize) -> u32 {
    let mut left = 2 * start + first;
    let mut right = left + first + second;
    let mut power = 0;
    loop {
        power += 1;
        if left >= len {
            left -= len;
            right -= len;
        } else if right >= len {
            return power;
        }
        left *= 2;
        right *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits of two items, the same in the reference program.
    fn mix(left: u32, right: u32) -> u32 {
        let mut mixed = left.wrapping_mul(2_654_435_761) ^ right.wrapping_mul(40503);
        mixed ^= mixed >> 13;
        mixed.wrapping_mul(1_540_483_477) >> 20
    }

    /// A comparison without any order in it.
    fn chaotic(left: u32, right: u32) -> bool {
        mix(left, right) % 16 < 7
    }

    /// A comparison that is now and then wrong.
    fn faulty(every: u32) -> impl Fn(u32, u32) -> bool {
        move |left, right| (left < right) != mix(left, right).is_multiple_of(every)
    }

    /// Six sorted blocks; with `apart`, of ranges that hardly meet, so that merges gallop.
    fn blocks(len: u32, seed: u32, apart: u32) -> Vec<u32> {
        let size = (len / 6).max(1) as usize;
        let mut list = numbers(len, seed);
        for (index, block) in list.chunks_mut(size).enumerate() {
            block.sort_unstable();
            for item in block {
                *item += u32::try_from(index % 3).unwrap() * apart;
            }
        }
        list
    }

    fn numbers(len: u32, seed: u32) -> Vec<u32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 8
        };
        (0..len).map(|_| next()).collect()
    }

    /// A digest of the order, as the reference program makes it.
    fn sum(list: &[u32]) -> u64 {
        list.iter().fold(0, |sum: u64, &item| {
            let next = u128::from(sum) * 1_000_003 + u128::from(item);
            (next % ((1 << 61) - 1)) as u64
        })
    }

    #[test]
    fn consistent_orders_are_sorted_stably() {
        for len in [0, 1, 2, 31, 63, 64, 65, 200, 1000, 5000] {
            for modulus in [3, 100, 1 << 24] {
                let mut list: Vec<(u32, usize)> = numbers(len, 7)
                    .iter()
                    .map(|item| item % modulus)
                    .zip(0..)
                    .collect();
                let mut expected = list.clone();
                expected.sort_by_key(|item| item.0);
                sort(&mut list, |left, right| left.0 < right.0);
                assert_eq!(list, expected, "{len} {modulus}");
            }
        }
    }

    #[test]
    fn any_comparison_gives_a_permutation() {
        for len in 0..300 {
            for seed in 0..4 {
                let mut list = numbers(len, seed);
                let mut expected = list.clone();
                sort(&mut list, chaotic);
                list.sort_unstable();
                expected.sort_unstable();
                assert_eq!(list, expected);
            }
        }
    }

    /// The sums are those of CPython 3.11's `list.sort` with the same lists and comparisons.
    #[test]
    fn inconsistent_comparisons_are_made_as_cpython_makes_them() {
        let check = |mut list: Vec<u32>, less: &dyn Fn(u32, u32) -> bool, expected: u64| {
            sort(&mut list, less);
            assert_eq!(sum(&list), expected, "{}", list.len());
        };
        for (len, [chaos, faults, gallops]) in [
            (
                5,
                [1122818790019121250, 485629994885579580, 64862607968916068],
            ),
            (
                40,
                [2176739235503478026, 1192628470468090472, 939919713620631222],
            ),
            (
                64,
                [
                    1717982463711792017,
                    1645269354185751841,
                    1435434530882674292,
                ],
            ),
            (
                100,
                [
                    1937225401347987317,
                    1779846175142694334,
                    2165224177665352241,
                ],
            ),
            (
                500,
                [388384613087233683, 358897242648439708, 1029722185255678770],
            ),
            (
                3000,
                [2037808590235631584, 512790268740292143, 1936834285801021570],
            ),
        ] {
            check(numbers(len, len), &chaotic, chaos);
            check(blocks(len, len + 1, 0), &faulty(97), faults);
            check(blocks(len, len + 2, 1 << 24), &faulty(997), gallops);
        }
    }
}

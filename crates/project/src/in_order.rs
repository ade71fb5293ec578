//! Work on a list by several threads, where what comes of an item may depend on what came of those before it.
//!
//! Items are taken in their order. A thread that needs what comes of an item that another one is still at waits
//! for it. It never waits for ever: of all items that are not done, the first waits for nothing.

use std::iter::Enumerate;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use crate::ahead::spare_processors;

/// Items that a thread takes at a time.
const BLOCK: usize = 8;

/// Items that are worth a further thread.
const WORTHWHILE: usize = 128;

/// What has come of the items before one.
pub(crate) struct Earlier<'a, T> {
    slots: &'a [OnceLock<Option<T>>],
}

impl<'a, T> Earlier<'a, T> {
    /// What has come of an item, which is waited for. None if it failed, or is none of those before.
    pub(crate) fn get(&self, index: usize) -> Option<&'a T> {
        let slot = self.slots.get(index)?;
        slot.get().unwrap_or_else(|| slot.wait()).as_ref()
    }
}

/// What `make` makes of all items, or of those before the first that it gives an error for, with that error. What
/// it is given besides the item is its place, what the thread has of its own, made by `scratch`, and what it made
/// of earlier items.
pub(crate) fn try_map<I, S, T: Send + Sync, E: Send>(
    items: impl ExactSizeIterator<Item = I> + Send,
    scratch: impl Fn() -> S + Sync,
    make: impl Fn(usize, I, &mut S, &Earlier<'_, T>) -> Result<T, E> + Sync,
) -> (Vec<T>, Result<(), E>) {
    let len = items.len();
    let work = Work {
        slots: (0..len).map(|_| OnceLock::new()).collect(),
        items: Mutex::new(items.enumerate()),
        failed: Mutex::new(None),
    };
    let run = || work.run(&mut scratch(), &make);
    thread::scope(|scope| {
        for _ in 0..spare_processors().min(len / WORTHWHILE) {
            scope.spawn(run);
        }
        run();
    });
    let failed = work.failed.into_inner();
    let (end, result) = match failed.unwrap_or_else(PoisonError::into_inner) {
        Some((index, error)) => (index, Err(error)),
        None => (len, Ok(())),
    };
    let made = work.slots.into_iter().take(end);
    let made = made.filter_map(OnceLock::into_inner).flatten();
    (made.collect(), result)
}

struct Work<I, T, E> {
    /// Those that no thread has taken.
    items: Mutex<Enumerate<I>>,
    slots: Vec<OnceLock<Option<T>>>,
    /// The first that has failed so far.
    failed: Mutex<Option<(usize, E)>>,
}

/// Items that a thread has taken. However it ends, nobody waits for them for ever.
struct Taken<'a, T> {
    slots: &'a [OnceLock<Option<T>>],
    range: Range<usize>,
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        for slot in &self.slots[self.range.clone()] {
            slot.get_or_init(|| None);
        }
    }
}

impl<I: Iterator, T, E> Work<I, T, E> {
    fn run<S>(
        &self,
        scratch: &mut S,
        make: impl Fn(usize, I::Item, &mut S, &Earlier<'_, T>) -> Result<T, E>,
    ) {
        loop {
            let block: Vec<(usize, I::Item)> = lock(&self.items).by_ref().take(BLOCK).collect();
            let (Some((first, _)), Some((last, _))) = (block.first(), block.last()) else {
                return;
            };
            let _taken = Taken {
                slots: &self.slots,
                range: *first..last + 1,
            };
            for (index, item) in block {
                if self.has_failed_before(index) {
                    return;
                }
                let slots = &self.slots[..index];
                let made = make(index, item, scratch, &Earlier { slots });
                let made = made.map_err(|error| self.fail(index, error)).ok();
                // Each is taken once.
                let _ = self.slots[index].set(made);
            }
        }
    }

    fn has_failed_before(&self, index: usize) -> bool {
        let failed = lock(&self.failed);
        failed.as_ref().is_some_and(|(first, _)| *first < index)
    }

    fn fail(&self, index: usize, error: E) {
        let mut failed = lock(&self.failed);
        if failed.as_ref().is_none_or(|(first, _)| index < *first) {
            *failed = Some((index, error));
        }
    }
}

/// What a mutex holds, also after a panic of another thread: that ends everything soon enough.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sees_what_came_of_those_before_it_and_of_no_others() {
        let (sums, result) = try_map(
            0..5000_usize,
            || (),
            |index, item, (), earlier| {
                assert!(earlier.get(index).is_none() && earlier.get(usize::MAX).is_none());
                let before = index.checked_sub(1).map_or(Some(&0), |it| earlier.get(it));
                before.map(|before| before + item).ok_or(())
            },
        );
        assert_eq!((sums.len(), result), (5000, Ok(())));
        assert!((0..5000).all(|item| sums[item] == item * (item + 1) / 2));
    }

    #[test]
    fn the_first_error_is_told_and_what_comes_after_it_is_left() {
        for _ in 0..50 {
            let (made, result) = try_map(
                0..100_000_usize,
                || (),
                |index, item, (), earlier| {
                    // Those after it may wait for it.
                    let before = index.checked_sub(1).map(|it| earlier.get(it));
                    if item == 700 || item % 3 == 0 && item > 700 {
                        return Err(item);
                    }
                    assert!(item < 50_000, "work goes on after an error");
                    assert!(item > 700 || before != Some(None));
                    Ok(item)
                },
            );
            assert_eq!(result, Err(700));
            assert_eq!(made, (0..700).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nobody_waits_for_what_panicked() {
        let caught = std::panic::catch_unwind(|| {
            try_map(
                0..1000_usize,
                || (),
                |index, item, (), earlier| {
                    let before = index.checked_sub(1).map(|it| earlier.get(it));
                    match item {
                        500 => panic!("one too many"),
                        _ => Ok::<_, ()>(before.flatten().copied().unwrap_or(item)),
                    }
                },
            )
        });
        assert!(caught.is_err());
    }
}

//! All that some need, each once, dependencies first.

/// Some of many that are known by their numbers, with what they need. It can be filled again and again.
pub(crate) struct Scope<I> {
    ids: Vec<I>,
    /// One is among them if its mark is the current one.
    marks: Vec<u32>,
    current: u32,
    stack: Vec<(I, usize)>,
}

impl<I: Copy> Scope<I>
where
    usize: From<I>,
{
    /// An empty one, where there are `len`.
    pub(crate) fn new(len: usize) -> Self {
        Self {
            ids: Vec::new(),
            marks: vec![0; len],
            current: 0,
            stack: Vec::new(),
        }
    }

    pub(crate) fn ids(&self) -> &[I] {
        &self.ids
    }

    pub(crate) fn into_ids(self) -> Vec<I> {
        self.ids
    }

    /// Post-order over what `next` gives for each position. Iterative, as chains can be long.
    pub(crate) fn fill(&mut self, roots: &[I], next: impl Fn(I, usize) -> Option<I>) {
        self.ids.clear();
        self.current += 1;
        for &root in roots {
            self.begin(root);
            while let Some((id, position)) = self.stack.last_mut() {
                match next(*id, *position) {
                    Some(dependency) => {
                        *position += 1;
                        self.begin(dependency);
                    }
                    None => {
                        self.ids.push(*id);
                        self.stack.pop();
                    }
                }
            }
        }
    }

    fn begin(&mut self, id: I) {
        let mark = &mut self.marks[usize::from(id)];
        if *mark != self.current {
            *mark = self.current;
            self.stack.push((id, 0));
        }
    }
}

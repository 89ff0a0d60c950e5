//! Two sets of inputs that take turns: while runs read one, the next batch is written into the other. Says who reads
//! and who is written; the copies and their order are the program's.

/// Which set is written and read next, and what it still lacks.
///
/// The first write after a run changes over to the other set. What nobody writes there before the next run keeps its
/// value, so it has to be copied from the set before.
#[derive(Debug)]
pub(super) struct Turns {
    current: usize,
    /// Whether a run has read the current set since it became the current one.
    read: bool,
    /// Of each input, whether the current set holds what was last written.
    whole: Vec<bool>,
}

impl Turns {
    /// Sets of so many inputs, both the same.
    pub(super) fn new(inputs: usize) -> Self {
        Turns { current: 0, read: false, whole: vec![true; inputs] }
    }

    /// The set that is written and read next.
    pub(super) fn current(&self) -> usize {
        self.current
    }

    /// The other one, which runs may still be reading.
    pub(super) fn other(&self) -> usize {
        1 - self.current
    }

    /// Whether the next write must change over first: a run may still be reading the current set.
    pub(super) fn is_read(&self) -> bool {
        self.read
    }

    /// Makes the other set the current one.
    pub(super) fn change_over(&mut self) {
        self.current = self.other();
        self.read = false;
        self.whole.fill(false);
    }

    /// Says that an input has been written into the current set.
    pub(super) fn wrote(&mut self, input: usize) {
        self.whole[input] = true;
    }

    /// The inputs that the current set lacks.
    pub(super) fn lacking(&self) -> impl Iterator<Item = usize> {
        self.whole.iter().enumerate().filter(|(_, whole)| !**whole).map(|(input, _)| input)
    }

    /// Says that a run reads the current set, which lacks nothing any more.
    pub(super) fn ran(&mut self) {
        self.read = true;
        self.whole.fill(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sets of plain numbers, handled as a program handles its inputs.
    struct Sets {
        turns: Turns,
        values: [Vec<u64>; 2],
    }

    impl Sets {
        fn write(&mut self, input: usize, value: u64) {
            if self.turns.is_read() {
                self.turns.change_over();
            }
            self.values[self.turns.current()][input] = value;
            self.turns.wrote(input);
        }

        /// What a run reads.
        fn run(&mut self) -> &[u64] {
            let (to, from) = (self.turns.current(), self.turns.other());
            for input in self.turns.lacking() {
                self.values[to][input] = self.values[from][input];
            }
            self.turns.ran();
            &self.values[to]
        }
    }

    #[test]
    fn runs_read_what_was_last_written_whatever_the_order() {
        let mut state = 1u64;
        let mut random = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 33
        };
        for inputs in 1..4 {
            let mut sets = Sets { turns: Turns::new(inputs), values: [vec![0; inputs], vec![0; inputs]] };
            let mut want = vec![0; inputs];
            for step in 1..500 {
                if random() % 2 == 0 {
                    let input = random() as usize % inputs;
                    want[input] = step;
                    sets.write(input, step);
                } else {
                    assert_eq!(sets.run(), want, "{inputs} inputs, step {step}");
                }
            }
        }
    }

    #[test]
    fn whole_batches_take_turns_and_copy_nothing() {
        let mut turns = Turns::new(2);
        let mut order = Vec::new();
        for _ in 0..4 {
            for input in 0..2 {
                if turns.is_read() {
                    turns.change_over();
                }
                turns.wrote(input);
            }
            assert_eq!(turns.lacking().count(), 0);
            order.push(turns.current());
            turns.ran();
            // Repeating changes nothing.
            turns.ran();
        }
        assert_eq!(order, [0, 1, 0, 1]);
    }
}

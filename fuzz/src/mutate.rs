//! Changes inputs a little, the same way each time for the same number.

/// What is put into inputs beside what other inputs hold: what readers treat as special.
const WORDS: [&[u8]; 26] = [
    b"\"",
    b"\\",
    b"\\ud800",
    b"\\udc00",
    b"\\u0000",
    b"[[[[[[[[[[[[[[[[",
    b"]]]]]]]]]]]]]]]]",
    b"{\"a\":",
    b"null",
    b"-1",
    b"-0",
    b"1e999",
    b"0.1",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9223372036854775807",
    b"4294967295",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n------b",
    b"------b--",
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"L-31W",
    b"1-5/2",
];

/// The longest input that is made.
const LONGEST: usize = 1 << 16;

/// A source of changed inputs.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
    inputs: Vec<Vec<u8>>,
    /// The first so many are the seeds.
    seeds: usize,
}

impl Mutator {
    /// One that begins with these inputs, and draws its numbers from `seed`.
    pub fn new(seed: u64, inputs: Vec<Vec<u8>>) -> Self {
        Self {
            state: seed ^ 0x9E37_79B9_7F4A_7C15,
            seeds: inputs.len(),
            inputs,
        }
    }

    /// Keeps an input to be changed further.
    pub fn keep(&mut self, input: Vec<u8>) {
        self.inputs.push(input);
    }

    /// The next changed input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.any_input();
        for _ in 0..=self.below(3) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    /// A number below `end`; 0 when that is 0. (xorshift: any numbers will do, as long as they are the same each time.)
    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let number = usize::try_from(self.state >> 33).unwrap_or(0);
        number.checked_rem(end).unwrap_or(0)
    }

    /// A seed, half of the time: what was changed often is refused early.
    fn any_input(&mut self) -> Vec<u8> {
        let end = [self.seeds, self.inputs.len()][self.below(2)];
        let index = self.below(end);
        self.inputs.get(index).cloned().unwrap_or_default()
    }

    /// A range of an input.
    fn range(&mut self, input: &[u8]) -> (usize, usize) {
        let from = self.below(input.len() + 1);
        let most = (input.len() - from).min(64);
        (from, from + self.below(most + 1))
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.range(input);
        match self.below(8) {
            0 => {
                input.drain(from..to);
            }
            1 => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(from..to, word.iter().copied());
            }
            2 => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(from..from, word.iter().copied());
            }
            3 => {
                let other = self.any_input();
                let (begin, end) = self.range(&other);
                input.splice(from..to, other[begin..end].iter().copied());
            }
            4 => {
                let repeated = input[from..to].repeat(1 + self.below(40));
                input.splice(from..from, repeated);
            }
            5 => {
                let (begin, end) = self.range(input);
                let copied = input[begin..end].to_vec();
                input.splice(from..from, copied);
            }
            6 => {
                if let Some(byte) = input.get_mut(from) {
                    *byte ^= 1 << self.below(8);
                }
            }
            _ => {
                if let Some(byte) = input.get_mut(from) {
                    *byte = u8::try_from(self.below(256)).unwrap_or(0);
                }
            }
        }
    }
}

//! The search: an automaton over all forms, and a table that says how far it need not look.

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

use super::forms::{Form, FormSet};

/// A place in the automaton: which beginning of a form the bytes so far end with. Zero is the place where nothing has begun.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct State(u32);

pub(super) struct Engine {
    automaton: Option<NFA>,
    root: StateID,
    /// By pattern of the automaton, which itself does not look at case.
    forms: Vec<(Vec<u8>, Form)>,
    /// By state: what reaching it means. The automaton itself knows neither depths nor what can still grow.
    nodes: Vec<Node>,
    skip: Skip,
}

#[derive(Clone, Copy, Default)]
struct Node {
    /// How many of the last bytes begin a form.
    depth: u32,
    /// Whether forms end here, if the case is right.
    matches: bool,
    /// Where to go on from here: the node itself, or, when no form is longer, the longest beginning that is left.
    /// It lets a complete secret be written at once instead of being held back until the next byte.
    next: u32,
}

impl Engine {
    pub(super) fn new(forms: &FormSet) -> Engine {
        let skip = Skip::new(forms);
        let forms: Vec<(Vec<u8>, Form)> = forms.iter().map(|(folded, form)| (folded.to_vec(), form.clone())).collect();
        let mut engine = Engine { automaton: None, root: StateID::default(), forms, nodes: Vec::new(), skip };
        if engine.forms.is_empty() {
            return engine;
        }
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .ascii_case_insensitive(true)
            .build(engine.forms.iter().map(|(folded, _)| folded))
            .expect("the forms of all secrets together are far below the automaton's limit of 2^31 states");
        engine.root = automaton.start_state(Anchored::No).expect("the automaton is built for searches that start anywhere");
        engine.learn_depths(&automaton);
        engine.learn_exits(&automaton);
        engine.automaton = Some(automaton);
        engine
    }

    /// How many bytes at the end of the input may begin a form.
    pub(super) fn held_back(&self, state: State) -> usize {
        self.nodes.get(state.0 as usize).map_or(0, |node| node.depth as usize)
    }

    /// Searches `text` from `at` on, where `state` stands for the bytes before; calls `found` with each range that is a form,
    /// until it answers false, and returns the state at the end.
    pub(super) fn scan(&self, text: &[u8], mut at: usize, state: State, mut found: impl FnMut((usize, usize)) -> bool) -> State {
        let Some(automaton) = &self.automaton else { return State(0) };
        let root = self.root.as_u32();
        let mut state = if state == State(0) { root } else { state.0 };
        while at < text.len() {
            let mut start = at - self.nodes[state as usize].depth as usize;
            if self.is_shallow(state) {
                let candidate = self.skip.next_candidate(text, start);
                if candidate != start {
                    (state, at, start) = (root, candidate, candidate);
                }
            }
            // Follow the automaton while the beginning it has in view is the candidate, or too long for the table to judge.
            while at < text.len() {
                let id = StateID::new(state as usize).expect("states come from the automaton");
                let reached = automaton.next_state(Anchored::No, id, text[at]);
                let node = self.nodes[reached.as_usize()];
                at += 1;
                if node.matches
                    && let Some(length) = self.longest_match(automaton, reached, &text[..at])
                    && !found((at - length, at))
                {
                    return State(0);
                }
                state = node.next;
                let begun = at - self.nodes[state as usize].depth as usize;
                if begun != start && self.is_shallow(state) {
                    break;
                }
                start = begun;
            }
        }
        if state == root { State(0) } else { State(state) }
    }

    fn is_shallow(&self, state: u32) -> bool {
        (self.nodes[state as usize].depth as usize) < self.skip.window
    }

    /// The length of the longest form the text ends with, of those that end at `state`.
    fn longest_match(&self, automaton: &NFA, state: StateID, text: &[u8]) -> Option<usize> {
        (0..automaton.match_len(state))
            .map(|which| &self.forms[automaton.match_pattern(state, which).as_usize()])
            .filter(|(folded, form)| form.admits(&text[text.len() - folded.len()..]))
            .map(|(folded, _)| folded.len())
            .max()
    }

    fn learn_depths(&mut self, automaton: &NFA) {
        let root = self.root;
        self.node_mut(root).next = root.as_u32();
        let forms = std::mem::take(&mut self.forms);
        for (folded, _) in &forms {
            let mut state = root;
            for (index, &byte) in folded.iter().enumerate() {
                state = automaton.next_state(Anchored::No, state, byte);
                let node = self.node_mut(state);
                node.depth = index as u32 + 1;
                node.next = state.as_u32();
                node.matches = automaton.is_match(state);
            }
        }
        self.forms = forms;
    }

    fn learn_exits(&mut self, automaton: &NFA) {
        // In order, a form that is the beginning of another one stands right before one of those.
        let grows = |index: usize| self.forms.get(index + 1).is_some_and(|next| next.0.starts_with(&self.forms[index].0));
        let mut leaves: Vec<&[u8]> =
            (0..self.forms.len()).filter(|&index| !grows(index)).map(|index| self.forms[index].0.as_slice()).collect();
        // Shorter ones first: the exit of a leaf may be a shorter leaf, which has its own exit by then.
        leaves.sort_by_key(|form| form.len());
        for leaf in leaves {
            let walk = |bytes: &[u8]| bytes.iter().fold(self.root, |state, &byte| automaton.next_state(Anchored::No, state, byte));
            let (end, rest) = (walk(leaf), walk(&leaf[1..]));
            self.nodes[end.as_usize()].next = self.nodes[rest.as_usize()].next;
        }
    }

    fn node_mut(&mut self, state: StateID) -> &mut Node {
        if self.nodes.len() <= state.as_usize() {
            self.nodes.resize(state.as_usize() + 1, Node::default());
        }
        &mut self.nodes[state.as_usize()]
    }
}

/// Wu and Manber's table: the last few bytes of a window tell how far ahead the next form can begin at the earliest.
struct Skip {
    /// The length of the shortest form, at most [`Skip::WINDOW_MAX`].
    window: usize,
    /// How many bytes at the end of the window are looked at.
    block: usize,
    distances: Vec<u8>,
}

impl Skip {
    /// Longer windows skip further but hold more blocks, so that the table says "here" more often.
    const WINDOW_MAX: usize = 12;
    /// Four bytes tell text, and digits, from secrets well and leave most of the window to be skipped.
    const BLOCK_MAX: usize = 4;
    /// 2^16 entries of a byte stay well within the second-level cache, and a thousand forms fill few of them.
    const BITS: u32 = 16;

    fn new(forms: &FormSet) -> Skip {
        let window = forms.iter().map(|(folded, _)| folded.len()).min().unwrap_or(0).min(Skip::WINDOW_MAX);
        let block = window.min(Skip::BLOCK_MAX);
        let farthest = window - block + 1;
        let mut skip = Skip { window, block, distances: vec![farthest as u8; 1 << Skip::BITS] };
        for (folded, _) in forms.iter() {
            for offset in 0..farthest {
                let mut bytes = [0; 4];
                bytes[..block].copy_from_slice(&folded[offset..offset + block]);
                let slot = skip.slot(bytes);
                skip.distances[slot] = skip.distances[slot].min((farthest - 1 - offset) as u8);
            }
        }
        skip
    }

    /// The first place from `at` on where a form may begin, or the first one too near the end to tell.
    fn next_candidate(&self, text: &[u8], mut at: usize) -> usize {
        let to_block = self.window - self.block;
        while let Some(bytes) = text.get(at + to_block..).and_then(|rest| rest.first_chunk::<4>()) {
            match self.distances[self.slot(*bytes)] {
                0 => return at,
                distance => at += usize::from(distance),
            }
        }
        at.min(text.len())
    }

    fn slot(&self, bytes: [u8; 4]) -> usize {
        // The bit that tells upper from lower case is set everywhere: that other bytes fall together costs a second look, no more.
        let kept = (u32::from_le_bytes(bytes) | 0x2020_2020) & (u32::MAX >> (8 * (4 - self.block)));
        (kept.wrapping_mul(0x9E37_79B1) >> (32 - Skip::BITS)) as usize
    }
}

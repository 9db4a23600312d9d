//! Text as examples: windows of a token stream, cut when they are asked for.

use std::{ops::Range, sync::Arc};

use super::{DataFault, Draw, LEN_MAX_BYTES, N_CLASSES_MAX};

/// Windows of `context` tokens, one after another, each to be answered by the token that follows.
///
/// Example `i` is `tokens[i * context..][..context]`, and its labels are the same places one token
/// later. A training epoch shifts every window by one number below `context`, drawn anew for each:
/// no token is predicted twice in an epoch, all but fewer than `2 * context` at the ends are, and
/// where one window ends and the next begins is never learned by heart. Held-out windows stay.
///
/// # Invariants
///
/// Every token is below the vocabulary, there is a window at least, and the last window ends
/// before the last token of its part, at any shift that can be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    /// `u32[n_tokens_of_text]`, shared by the parts of the text.
    tokens: Arc<[u32]>,
    /// The tokens that these windows see and predict.
    part: Range<usize>,
    context: usize,
    vocabulary: usize,
    n_windows: usize,
}

impl Windows {
    /// Cuts `tokens` into windows that do not move.
    ///
    /// # Errors
    ///
    /// Returns a [`DataFault`] when there are no tokens, when all are the same, when one is not
    /// below `vocabulary`, when the vocabulary is larger than [`N_CLASSES_MAX`], or when `context`
    /// is zero or leaves no token to predict.
    pub fn new(
        tokens: impl Into<Arc<[u32]>>,
        context: usize,
        vocabulary: usize,
    ) -> Result<Self, DataFault> {
        let tokens = tokens.into();
        if LEN_MAX_BYTES < 4 * tokens.len() as u64 {
            return Err(DataFault::TooLarge { what: format!("{} tokens", tokens.len()) });
        }
        if N_CLASSES_MAX < vocabulary {
            return Err(DataFault::VocabularyTooLarge { vocabulary });
        }
        if context == 0 {
            return Err(DataFault::NoContext);
        }
        let Some(first) = tokens.first() else { return Err(DataFault::Empty) };
        if let Some(position) = tokens.iter().position(|token| vocabulary <= *token as usize) {
            let token = tokens[position];
            return Err(DataFault::TokenRange { position, token, vocabulary });
        }
        if tokens.iter().all(|token| token == first) {
            return Err(DataFault::OneToken);
        }
        let part = 0..tokens.len();
        let whole = Self { tokens, part, context, vocabulary, n_windows: 0 };
        whole.held_out(whole.part.clone(), "whole")
    }

    /// How many windows there are.
    pub fn len(&self) -> usize {
        self.n_windows
    }

    /// Whether there are none; there never are.
    pub fn is_empty(&self) -> bool {
        self.n_windows == 0
    }

    /// How many tokens a window sees.
    pub fn context(&self) -> usize {
        self.context
    }

    /// How many different tokens there may be.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The tokens that are seen and predicted, in the order of the text.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens[self.part.clone()]
    }

    /// The tokens of the whole text, and which of them are seen and predicted here.
    pub(super) fn text(&self) -> (&Arc<[u32]>, Range<usize>) {
        (&self.tokens, self.part.clone())
    }

    /// A part of the text to train on: its windows may move.
    pub(super) fn training(&self, part: Range<usize>) -> Result<Self, DataFault> {
        // One window fewer than fit leaves room for every shift; a short text keeps one and moves less.
        let n_windows = (part.len() / self.context).saturating_sub(1).max(1);
        self.of_part(part, n_windows, "training")
    }

    /// A part of the text to decide or to test on.
    pub(super) fn held_out(
        &self,
        part: Range<usize>,
        name: &'static str,
    ) -> Result<Self, DataFault> {
        let n_windows = part.len().saturating_sub(1) / self.context;
        self.of_part(part, n_windows, name)
    }

    fn of_part(
        &self,
        part: Range<usize>,
        n_windows: usize,
        name: &'static str,
    ) -> Result<Self, DataFault> {
        let (n_tokens, context) = (part.len(), self.context);
        if n_tokens <= context {
            return Err(DataFault::ContextTooLong { part: name, n_tokens, context });
        }
        Ok(Self { part, n_windows, ..self.clone() })
    }

    /// By how many tokens the windows of `draw` are shifted.
    pub(super) fn shift(&self, draw: Draw) -> usize {
        if !draw.is_training {
            return 0;
        }
        let n_spare = self.part.len() - self.n_windows * self.context;
        draw.cut(n_spare.min(self.context))
    }
}

#[cfg(test)]
mod tests {
    use esper_kernels::cpu::gather_windows;
    use proptest::prelude::*;

    use super::*;

    fn draw(epoch: u64) -> Draw {
        Draw { run_seed: 5, stream: 2, epoch, is_training: true }
    }

    /// Tokens by which a place is known: each is its own number.
    fn numbered(n_tokens: usize, context: usize) -> Windows {
        Windows::new((0..n_tokens as u32).collect::<Vec<_>>(), context, n_tokens).expect("valid")
    }

    fn seen(windows: &Windows, index: usize, shift: usize) -> Vec<u32> {
        let (tokens, part) = windows.text();
        let mut row = vec![0; windows.context()];
        gather_windows(windows.context(), shift, &tokens[part], &[index as u32], &mut row);
        row
    }

    fn next(windows: &Windows, index: usize, shift: usize) -> Vec<u32> {
        seen(windows, index, shift + 1)
    }

    proptest! {
        #[test]
        fn the_label_of_every_place_is_the_next_token(
            n_tokens in 10_usize..300, context in 1_usize..9, epoch: u64,
        ) {
            let windows = numbered(n_tokens, context);
            let training = windows.training(0..n_tokens).expect("long enough");
            for (windows, shift) in [(&windows, 0), (&training, training.shift(draw(epoch)))] {
                for index in 0..windows.len() {
                    let after: Vec<u32> = seen(windows, index, shift).iter().map(|it| it + 1).collect();
                    prop_assert_eq!(next(windows, index, shift), after);
                }
            }
        }

        #[test]
        fn an_epoch_covers_the_text_once(
            n_tokens in 15_usize..300, context in 1_usize..9, epoch: u64, start in 0_usize..5,
        ) {
            let windows = numbered(n_tokens, context).training(start..n_tokens).expect("long enough");
            let shift = windows.shift(draw(epoch));
            prop_assert!(shift < context);
            let predicted: Vec<u32> =
                (0..windows.len()).flat_map(|index| next(&windows, index, shift)).collect();
            let first = (start + shift + 1) as u32;
            prop_assert!(predicted.iter().copied().eq(first..first + predicted.len() as u32));
            prop_assert!(n_tokens - start < predicted.len() + 2 * context, "the ends are short");
        }

        #[test]
        fn held_out_windows_predict_all_but_a_part_of_one(
            n_tokens in 10_usize..300, context in 1_usize..9,
        ) {
            let windows = numbered(n_tokens, context);
            let still = Draw { is_training: false, ..draw(3) };
            prop_assert_eq!(windows.shift(still), 0);
            let n_predicted = windows.len() * context;
            prop_assert!(n_predicted < n_tokens && n_tokens <= n_predicted + context);
        }
    }

    #[test]
    fn every_cut_is_drawn_and_it_is_drawn_by_its_key_alone() {
        let windows = numbered(100, 7).training(0..100).expect("long enough");
        let mut counts = [0; 7];
        (0..7000).for_each(|epoch| counts[windows.shift(draw(epoch))] += 1);
        // 1,000 expected in each, standard deviation 29.
        assert!(counts.iter().all(|count| (820..1180).contains(count)), "{counts:?}");

        let shifts = |draw: fn(u64) -> Draw| -> Vec<usize> {
            (0..40).map(|epoch| windows.shift(draw(epoch))).collect()
        };
        assert_eq!(shifts(draw), shifts(draw));
        assert_ne!(shifts(draw), shifts(|epoch| Draw { run_seed: 6, ..draw(epoch) }));
        assert_ne!(shifts(draw), shifts(|epoch| Draw { stream: 3, ..draw(epoch) }));
    }

    #[test]
    fn a_text_of_one_window_moves_as_far_as_it_can() {
        let windows = numbered(11, 8).training(0..11).expect("long enough");
        assert_eq!(windows.len(), 1);
        let mut shifts: Vec<usize> = (0..60).map(|epoch| windows.shift(draw(epoch))).collect();
        shifts.sort_unstable();
        shifts.dedup();
        assert_eq!(shifts, [0, 1, 2]);
        let all = numbered(9, 8).training(0..9).expect("long enough");
        assert!((0..60).all(|epoch| all.shift(draw(epoch)) == 0));
    }

    #[test]
    fn tokens_that_are_no_text_are_refused() {
        let fault = |tokens: &[u32], context, vocabulary| {
            Windows::new(tokens.to_vec(), context, vocabulary).expect_err("bad")
        };
        assert!(matches!(fault(&[], 1, 2), DataFault::Empty));
        assert!(matches!(fault(&[0, 1], 0, 2), DataFault::NoContext));
        assert!(matches!(fault(&[1, 1, 1], 1, 2), DataFault::OneToken));
        let stray = fault(&[0, 1, 2], 1, 2);
        assert!(matches!(stray, DataFault::TokenRange { position: 2, token: 2, vocabulary: 2 }));
        let wide = fault(&[0, 1], 1, N_CLASSES_MAX + 1);
        assert!(matches!(wide, DataFault::VocabularyTooLarge { .. }));
        let long = fault(&[0, 1, 0], 3, 2);
        assert!(matches!(long, DataFault::ContextTooLong { n_tokens: 3, context: 3, .. }));
        assert_eq!(Windows::new(vec![0, 1, 0], 2, 2).expect("one window").len(), 1);
    }
}

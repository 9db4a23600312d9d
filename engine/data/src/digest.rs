//! One name for the same data on every machine.

use super::{Dataset, Features, Targets};

/// BLAKE3 of everything a source holds: shape, features and targets, training and test apart.
///
/// Numbers are hashed as little-endian bytes, each part with its length before it, so that the
/// digest is the same on every machine and no two data sets share one by concatenation.
pub(super) fn digest(examples: &Dataset, test: Option<&Dataset>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("esper 2025 data set v1");
    for part in [Some(examples), test].into_iter().flatten() {
        update_len(&mut hasher, part.example_shape.len());
        part.example_shape.iter().for_each(|axis| update_len(&mut hasher, *axis));
        if let Features::Dense(features) = &part.features {
            update_f32s(&mut hasher, features);
        }
        update_targets(&mut hasher, &part.targets);
    }
    *hasher.finalize().as_bytes()
}

fn update_targets(hasher: &mut blake3::Hasher, targets: &Targets) {
    match targets {
        Targets::Classes { labels, n_classes } => {
            hasher.update(b"classes");
            update_len(hasher, *n_classes);
            update_u32s(hasher, labels);
        }
        Targets::Values { values, width } => {
            hasher.update(b"values");
            update_len(hasher, *width);
            update_f32s(hasher, values);
        }
        Targets::NextTokens(windows) => {
            hasher.update(b"tokens");
            update_len(hasher, windows.vocabulary());
            update_u32s(hasher, windows.tokens());
        }
    }
}

fn update_len(hasher: &mut blake3::Hasher, len: usize) {
    hasher.update(&(len as u64).to_le_bytes());
}

fn update_u32s(hasher: &mut blake3::Hasher, values: &[u32]) {
    update_words(hasher, values, |value| value.to_le_bytes());
}

fn update_f32s(hasher: &mut blake3::Hasher, values: &[f32]) {
    update_words(hasher, values, |value| value.to_le_bytes());
}

fn update_words<T: Copy>(hasher: &mut blake3::Hasher, values: &[T], le_bytes: fn(T) -> [u8; 4]) {
    update_len(hasher, values.len());
    // BLAKE3 is fast on long inputs and slow on four bytes at a time.
    let mut bytes = [0_u8; 4096];
    for chunk in values.chunks(bytes.len() / 4) {
        let (quads, _) = bytes.as_chunks_mut::<4>();
        quads.iter_mut().zip(chunk).for_each(|(quad, value)| *quad = le_bytes(*value));
        hasher.update(&bytes[..4 * chunk.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Windows;

    #[test]
    fn the_digest_tells_a_shape_from_another_with_the_same_bytes() {
        let set = |shape: Vec<usize>, labels: &[u32]| {
            let targets = Targets::Classes { labels: labels.into(), n_classes: 2 };
            Dataset::new(vec![1.0; 8], shape, targets).expect("valid")
        };
        let base = digest(&set(vec![4], &[0, 1]), None);
        assert_eq!(base, digest(&set(vec![4], &[0, 1]), None));
        assert_ne!(base, digest(&set(vec![2, 2], &[0, 1]), None));
        assert_ne!(
            digest(&set(vec![1, 4], &[0, 1]), None),
            digest(&set(vec![2, 2], &[0, 1]), None)
        );
        assert_ne!(base, digest(&set(vec![4], &[1, 0]), None));
        assert_ne!(base, digest(&set(vec![4], &[0, 1]), Some(&set(vec![4], &[0, 1]))));
    }

    #[test]
    fn the_digest_of_a_text_is_of_its_tokens_context_and_vocabulary() {
        let text = |tokens: &[u32], context, vocabulary| {
            let windows = Windows::new(tokens, context, vocabulary).expect("valid");
            digest(&Dataset::of_windows(windows), None)
        };
        let base = text(&[0, 1, 1, 0, 1], 2, 2);
        assert_eq!(base, text(&[0, 1, 1, 0, 1], 2, 2));
        assert_ne!(base, text(&[0, 1, 1, 0, 0], 2, 2));
        assert_ne!(base, text(&[0, 1, 1, 0, 1], 3, 2));
        assert_ne!(base, text(&[0, 1, 1, 0, 1], 2, 3));
    }
}

//! Text: characters or bytes, each to be predicted from those before it.

use super::{
    DataConfig, DataFault, Dataset, ExampleNames, LEN_MAX_BYTES, N_CLASSES_MAX, Task, Tokens,
    Windows, input::Input, source::Loaded,
};

/// The most bytes a text may have: each may become a token of four bytes.
const TEXT_MAX_BYTES: u64 = LEN_MAX_BYTES / 4;

/// How many characters Unicode has room for.
const N_CODE_POINTS: usize = char::MAX as usize + 1;

/// Whether files that end so are read as text.
pub(super) fn is_extension(extension: &str) -> bool {
    extension.eq_ignore_ascii_case("txt")
}

/// Reads a text whole; it is split by place later.
pub(super) fn read(mut input: Input, config: &DataConfig) -> Result<Loaded, DataFault> {
    if config.label.is_some() {
        return Err(DataFault::LabelNotUsed);
    }
    if config.task == Task::Regression {
        return Err(DataFault::TextRegression);
    }
    let bytes = input.read_up_to(TEXT_MAX_BYTES + 1)?;
    if bytes.is_empty() {
        return Err(DataFault::Empty);
    }
    if TEXT_MAX_BYTES < bytes.len() as u64 {
        let what = format!("as tokens; a text may have {TEXT_MAX_BYTES} bytes");
        return Err(DataFault::TooLarge { what });
    }
    let (tokens, vocabulary, classes) = match config.tokens {
        Tokens::Bytes => (bytes.iter().map(|byte| u32::from(*byte)).collect(), 256, Vec::new()),
        Tokens::Chars => tokens_of_chars(&bytes)?,
    };
    let examples = Dataset::of_windows(Windows::new(tokens, config.context, vocabulary)?);
    let names = ExampleNames { classes, ..ExampleNames::default() };
    Ok(Loaded { examples, test: None, names })
}

/// Tokens, how many different ones there are, and the character that each stands for.
type Characters = (Vec<u32>, usize, Vec<String>);

/// Characters, numbered in the order of their code points.
fn tokens_of_chars(bytes: &[u8]) -> Result<Characters, DataFault> {
    let not_utf8 =
        |error: std::str::Utf8Error| DataFault::NotUtf8 { offset_bytes: error.valid_up_to() };
    let text = std::str::from_utf8(bytes).map_err(not_utf8)?;
    // A byte order mark says how the file is written, and is not part of what is.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);

    let mut is_used = vec![false; N_CODE_POINTS];
    text.chars().for_each(|character| is_used[character as usize] = true);
    let used = ('\0'..=char::MAX).filter(|character| is_used[*character as usize]);
    let classes: Vec<String> = used.clone().take(N_CLASSES_MAX + 1).map(String::from).collect();
    if N_CLASSES_MAX < classes.len() {
        return Err(DataFault::VocabularyTooLarge { vocabulary: used.count() });
    }
    let mut token_of = vec![0_u32; N_CODE_POINTS];
    (0..).zip(used).for_each(|(token, character)| token_of[character as usize] = token);
    let tokens = text.chars().map(|character| token_of[character as usize]).collect();
    Ok((tokens, classes.len(), classes))
}

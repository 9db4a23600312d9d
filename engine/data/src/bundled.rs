//! The data sets that ship with Esper, compiled in so that any working directory will do.
//!
//! `data/NOTICE.md` says where they come from and under which licence.

use super::{
    DataFault,
    input::Input,
    source::{Parts, Split},
};

/// The names under which bundled data sets are loaded.
pub const BUNDLED: &[&str] = &["digits", "mnist1d", HAMLET_NAME];

macro_rules! part {
    ($file:literal) => {
        ($file, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/", $file)))
    };
}

/// A file of the repository, and its bytes.
type File = (&'static str, &'static [u8]);

/// Optical Recognition of Handwritten Digits, UCI: `u8[8, 8]`, official split.
const DIGITS: [File; 4] = [
    part!("digits/train-images-idx3-ubyte.gz"),
    part!("digits/train-labels-idx1-ubyte.gz"),
    part!("digits/t10k-images-idx3-ubyte.gz"),
    part!("digits/t10k-labels-idx1-ubyte.gz"),
];

/// MNIST-1D: `f32[40]`.
const MNIST1D: [File; 4] = [
    part!("mnist1d/train-images-idx2-float.gz"),
    part!("mnist1d/train-labels-idx1-ubyte.gz"),
    part!("mnist1d/t10k-images-idx2-float.gz"),
    part!("mnist1d/t10k-labels-idx1-ubyte.gz"),
];

/// The name of the bundled text.
const HAMLET_NAME: &str = "hamlet";

/// Hamlet, plain ASCII.
const HAMLET: &[u8] = part!("text/hamlet.txt").1;

/// Whether a bundled data set is a text.
pub(super) fn is_text(name: &str) -> bool {
    name == HAMLET_NAME
}

/// A bundled data set as its files hold it.
pub(super) enum Bundled {
    Idx(Parts),
    Text(Input),
}

/// The bundled data set of that name, if there is one.
pub(super) fn find(name: &str) -> Option<Result<Bundled, DataFault>> {
    if is_text(name) {
        return Some(Input::new(HAMLET).map(Bundled::Text));
    }
    let files = match name {
        "digits" => DIGITS,
        "mnist1d" => MNIST1D,
        _ => return None,
    };
    let [train_images, train_labels, test_images, test_labels] = files;
    let open = |(name, bytes): File| {
        Input::new(bytes).map(|input| Split { place: format!("bundled {name}"), input })
    };
    Some((|| {
        Ok(Bundled::Idx(Parts {
            train: [open(train_images)?, open(train_labels)?],
            test: Some([open(test_images)?, open(test_labels)?]),
        }))
    })())
}

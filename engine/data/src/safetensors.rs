//! Safetensors: named tensors (<https://github.com/huggingface/safetensors>, "Format").

use std::path::Path;

use ::safetensors::{Dtype, SafeTensors};

use esper_nn::suggest::nearest;

use super::{
    DataConfig, DataError, DataFault, Dataset, ExampleNames, LEN_MAX_BYTES,
    array::{Element, RawArray},
    input::Input,
    names::first_names,
    source::{Loaded, pair},
};

/// What the tensor of features may be called.
const FEATURES: [&str; 4] = ["features", "x", "images", "data"];

/// What the tensor of targets may be called, unless `label` names another.
const LABELS: [&str; 3] = ["labels", "y", "targets"];

/// How the name of a tensor of test examples begins.
const TEST: &str = "test_";

/// Reads features and targets, and a test set where there is one.
pub(super) fn read(path: &Path, config: &DataConfig) -> Result<Loaded, DataError> {
    let in_file = |fault: DataFault| fault.at(path.display());
    let bytes = Input::open(path).and_then(|mut input| {
        let bytes = input.read_up_to(LEN_MAX_BYTES + 1)?;
        match bytes.len() as u64 {
            0 => Err(DataFault::Empty),
            len if LEN_MAX_BYTES < len => Err(DataFault::TooLarge { what: "decompressed".into() }),
            _ => Ok(bytes),
        }
    });
    let bytes = bytes.map_err(in_file)?;
    let damaged = |error: ::safetensors::SafeTensorError| {
        in_file(DataFault::BadHeader { reason: error.to_string() })
    };
    let file = File { tensors: SafeTensors::deserialize(&bytes).map_err(damaged)?, config };
    let place = |name: &str| format!("{}: tensor `{name}`", path.display());
    let read = |name: &str| match file.array(name) {
        Ok(array) => Ok((place(name), array)),
        Err(fault) => Err(fault.at(place(name))),
    };
    let read_pair = |prefix: &str| -> Result<(Dataset, String), DataError> {
        let [features, labels] = file.names(prefix).map_err(in_file)?;
        pair(read(&features)?, read(&labels)?, config.task)
    };
    let (examples, place) = read_pair("")?;
    examples.targets.check_classes().map_err(|fault| fault.at(place))?;
    let test = file.has_test().then(|| read_pair(TEST)).transpose()?.map(|(test, _)| test);
    Ok(Loaded { examples, test, names: ExampleNames::default() })
}

/// An open file, and what to look for in it.
struct File<'a> {
    tensors: SafeTensors<'a>,
    config: &'a DataConfig,
}

impl File<'_> {
    /// The names of features and targets that begin with `prefix`.
    fn names(&self, prefix: &str) -> Result<[String; 2], DataFault> {
        let features = self.find(prefix, &FEATURES)?;
        let features = features.ok_or_else(|| self.missing(prefix, &FEATURES))?;
        let labels = match &self.config.label {
            None => self.find(prefix, &LABELS)?.ok_or_else(|| self.missing(prefix, &LABELS))?,
            Some(label) => {
                let name = format!("{prefix}{label}");
                if !self.has(&name) {
                    return Err(self.missing_label(name));
                }
                name
            }
        };
        Ok([features, labels])
    }

    /// Whether any tensor is meant for a test set.
    fn has_test(&self) -> bool {
        let label = self.config.label.as_deref();
        let candidates = FEATURES.into_iter().chain(LABELS).chain(label);
        candidates.into_iter().any(|name| self.has(&format!("{TEST}{name}")))
    }

    /// The one tensor that has one of the names.
    fn find(&self, prefix: &str, names: &[&str]) -> Result<Option<String>, DataFault> {
        let mut found =
            names.iter().map(|name| format!("{prefix}{name}")).filter(|it| self.has(it));
        match (found.next(), found.next()) {
            (Some(first), Some(second)) => Err(DataFault::AmbiguousTensor { first, second }),
            (first, _) => Ok(first),
        }
    }

    fn array(&self, name: &str) -> Result<RawArray<'_>, DataFault> {
        let tensor = self.tensors.tensor(name).expect("its name was found");
        RawArray::of_bytes(tensor.shape(), element_of(tensor.dtype())?, tensor.data())
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.names().contains(&name)
    }

    fn sorted_names(&self) -> Vec<&str> {
        let mut names = self.tensors.names();
        names.sort_unstable();
        names
    }

    fn missing(&self, prefix: &str, wanted: &[&str]) -> DataFault {
        let names = self.sorted_names();
        let wanted: Vec<String> = wanted.iter().map(|name| format!("{prefix}{name}")).collect();
        DataFault::MissingTensor {
            nearest: wanted
                .iter()
                .find_map(|wanted| nearest(wanted, names.iter().copied()))
                .map(str::to_owned),
            names: all_of(&names),
            wanted: wanted.join(" or "),
        }
    }

    fn missing_label(&self, label: String) -> DataFault {
        let names = self.sorted_names();
        let nearest = nearest(&label, names.iter().copied()).map(str::to_owned);
        DataFault::MissingLabel { kind: "tensor", nearest, names: all_of(&names), label }
    }
}

fn all_of(names: &[&str]) -> String {
    if names.is_empty() { "no tensors at all".into() } else { first_names(names.iter().copied()) }
}

fn element_of(dtype: Dtype) -> Result<Element, DataFault> {
    Ok(match dtype {
        Dtype::BOOL | Dtype::U8 => Element::U8,
        Dtype::I8 => Element::I8,
        Dtype::U16 => Element::U16,
        Dtype::I16 => Element::I16,
        Dtype::U32 => Element::U32,
        Dtype::I32 => Element::I32,
        Dtype::U64 => Element::U64,
        Dtype::I64 => Element::I64,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        _ => {
            return Err(DataFault::UnsupportedElement {
                found: dtype.to_string(),
                supported: "F16, BF16, F32, F64, I8 to I64, U8 to U64 or BOOL",
            });
        }
    })
}

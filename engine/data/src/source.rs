//! What `source` may name, and how it is found.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use esper_nn::suggest::nearest;

use super::{
    BUNDLED, DataConfig, DataError, DataFault, Dataset, ExampleNames, Task,
    array::RawArray,
    bundled::{self, Bundled},
    cifar::Cifar,
    csv, idx,
    input::Input,
    npy, safetensors, text,
};

/// How many entries of a folder are looked at for a name to suggest.
const N_SUGGESTIONS_MAX: usize = 4096;

/// What a source holds, checked but neither split nor standardised.
pub(super) struct Loaded {
    pub(super) examples: Dataset,
    /// The source's own test set.
    pub(super) test: Option<Dataset>,
    pub(super) names: ExampleNames,
}

/// One file of several, and its name for errors.
pub(super) struct Split {
    pub(super) place: String,
    pub(super) input: Input,
}

/// The files of an IDX data set: images, then labels.
pub(super) struct Parts {
    pub(super) train: [Split; 2],
    pub(super) test: Option<[Split; 2]>,
}

/// Reads what `config.source` names.
pub(super) fn read(config: &DataConfig, base_dir: &Path) -> Result<Loaded, DataError> {
    if let Some(bundled) = bundled::find(&config.source) {
        let in_source = |fault: DataFault| fault.at(&config.source);
        return match bundled.map_err(in_source)? {
            Bundled::Idx(parts) => read_idx_parts(parts, config),
            Bundled::Text(input) => text::read(input, config).map_err(in_source),
        };
    }
    let path = base_dir.join(&config.source);
    let kind = match fs::metadata(&path) {
        Ok(metadata) if !config.source.is_empty() => metadata.file_type(),
        Err(reason) if reason.kind() != io::ErrorKind::NotFound => {
            return Err(DataFault::unreadable(reason).at(path.display()));
        }
        _ => return Err(unknown_source(config, &path)),
    };
    if kind.is_dir() {
        return read_folder(&path, config);
    }
    if !kind.is_file() {
        return Err(DataFault::NotAFile.at(path.display()));
    }
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let read = |parse: fn(Input, &DataConfig) -> Result<Loaded, DataFault>| {
        let loaded = Input::open(&path).and_then(|input| parse(input, config));
        loaded.map_err(|fault| fault.at(path.display()))
    };
    match extension.to_ascii_lowercase().as_str() {
        "csv" => read(csv::read),
        "npy" => read_npy(&path, config),
        "safetensors" => safetensors::read(&path, config),
        extension if text::is_extension(extension) => read(text::read),
        _ => Err(DataFault::UnsupportedFormat.at(path.display())),
    }
}

/// Whether `source` names a text, as far as its name tells: a bundled one, or a `.txt` file.
pub fn is_text(source: &str) -> bool {
    let extension = Path::new(source).extension().and_then(|it| it.to_str());
    bundled::is_text(source) || extension.is_some_and(text::is_extension)
}

/// Reads a folder of CIFAR or of IDX files.
fn read_folder(folder: &Path, config: &DataConfig) -> Result<Loaded, DataError> {
    let in_folder = |fault: DataFault| fault.at(folder.display());
    let names = list(folder).map_err(|reason| in_folder(DataFault::unreadable(reason)))?;
    match Cifar::recognize(&names).map_err(in_folder)? {
        Some(cifar) => cifar.read(folder, &names, config),
        None => read_idx_parts(open_folder(folder, &names)?, config),
    }
}

/// Reads features and the labels beside them.
fn read_npy(path: &Path, config: &DataConfig) -> Result<Loaded, DataError> {
    let labels = match &config.label {
        Some(label) => path.with_file_name(label),
        None => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            path.with_file_name(format!("{stem}_labels.npy"))
        }
    };
    if !labels.exists() {
        return Err(DataFault::NoLabelFile.at(labels.display()));
    }
    let features = read_array(open_part(path)?, npy::read)?;
    let labels = read_array(open_part(&labels)?, npy::read)?;
    let (examples, place) = pair(features, labels, config.task)?;
    examples.targets.check_classes().map_err(|fault| fault.at(place))?;
    Ok(Loaded { examples, test: None, names: ExampleNames::default() })
}

fn read_idx_parts(parts: Parts, config: &DataConfig) -> Result<Loaded, DataError> {
    if config.label.is_some() {
        return Err(DataFault::LabelNotUsed.at(&config.source));
    }
    let read = |[images, labels]: [Split; 2]| {
        pair(read_array(images, idx::read)?, read_array(labels, idx::read)?, config.task)
    };
    let (examples, place) = read(parts.train)?;
    // A test set may lack a class.
    examples.targets.check_classes().map_err(|fault| fault.at(place))?;
    let test = parts.test.map(read).transpose()?.map(|(test, _)| test);
    Ok(Loaded { examples, test, names: ExampleNames::default() })
}

/// An array, and the name of its file for errors.
type Named<'a> = (String, RawArray<'a>);

fn read_array(
    Split { place, mut input }: Split,
    parse: fn(&mut Input) -> Result<RawArray<'static>, DataFault>,
) -> Result<Named<'static>, DataError> {
    match parse(&mut input) {
        Ok(array) => Ok((place, array)),
        Err(fault) => Err(fault.at(place)),
    }
}

/// Examples from both arrays, and the name of the file that holds their labels.
pub(super) fn pair(
    features: Named,
    labels: Named,
    task: Task,
) -> Result<(Dataset, String), DataError> {
    let (features_place, features) = features;
    let (labels_place, labels) = labels;
    let (features, shape) = features.into_features().map_err(|fault| fault.at(&features_place))?;
    let targets = labels.into_targets(task).map_err(|fault| fault.at(&labels_place))?;
    match Dataset::new(features, shape, targets) {
        Ok(examples) => Ok((examples, labels_place)),
        Err(fault) => Err(fault.at(labels_place)),
    }
}

/// Finds and opens the IDX files of a folder.
fn open_folder(folder: &Path, names: &[String]) -> Result<Parts, DataError> {
    let find = |prefix| find_part(names, prefix).map_err(|fault| fault.at(folder.display()));
    let required = |prefix| match find(prefix)? {
        Some(name) => open_part(&folder.join(name)),
        None => Err(DataFault::MissingPart { prefix }.at(folder.display())),
    };
    let train = [required("train-images")?, required("train-labels")?];
    let has_test = find("t10k-images")?.is_some() || find("t10k-labels")?.is_some();
    let test = match has_test {
        true => Some([required("t10k-images")?, required("t10k-labels")?]),
        false => None,
    };
    Ok(Parts { train, test })
}

fn open_part(path: &Path) -> Result<Split, DataError> {
    let place = path.display().to_string();
    match Input::open(path) {
        Ok(input) => Ok(Split { place, input }),
        Err(fault) => Err(fault.at(place)),
    }
}

/// The names in a folder, sorted; those that are not Unicode can not be meant.
fn list(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

/// The one name that begins with `prefix`. Of a file and the same file as `.gz`, the plain one:
/// torchvision leaves both behind.
fn find_part<'a>(names: &'a [String], prefix: &'static str) -> Result<Option<&'a str>, DataFault> {
    let matching = || names.iter().filter(|name| name.starts_with(prefix));
    let has_plain = |name: &str| {
        name.strip_suffix(".gz").is_some_and(|plain| matching().any(|other| other == plain))
    };
    let mut chosen = matching().filter(|name| !has_plain(name));
    match (chosen.next(), chosen.next()) {
        (Some(first), Some(second)) => {
            let (first, second) = (first.clone(), second.clone());
            Err(DataFault::AmbiguousPart { prefix, first, second })
        }
        (first, _) => Ok(first.map(String::as_str)),
    }
}

fn unknown_source(config: &DataConfig, path: &Path) -> DataError {
    let source = Path::new(&config.source);
    let wanted = source.file_name().unwrap_or_default().to_string_lossy();
    let siblings = path.parent().and_then(|parent| list(parent).ok()).unwrap_or_default();
    let candidates = BUNDLED.iter().copied().chain(siblings.iter().map(String::as_str));
    let near = nearest(&wanted, candidates.take(N_SUGGESTIONS_MAX)).map(|name| {
        if BUNDLED.contains(&name) {
            return name.to_owned();
        }
        source.parent().map_or_else(PathBuf::new, Path::to_owned).join(name).display().to_string()
    });
    DataFault::UnknownSource { nearest: near, bundled: BUNDLED }.at(&config.source)
}

//! CSV with a header (RFC 4180): numbers, and one or more columns of labels.

use std::{
    collections::BTreeMap,
    io::{Chain, Read, Take},
};

use ::csv::{ByteRecord, Reader, ReaderBuilder, Terminator};

use esper_nn::suggest::nearest;

use super::{
    DataConfig, DataFault, Dataset, ExampleNames, LEN_MAX_BYTES, N_CLASSES_MAX, Targets, Task,
    input::Input, names::first_names, source::Loaded,
};

/// The most columns: those of the widest tables in common use (gene expression) are about 60,000.
const N_COLUMNS_MAX: usize = 65_536;

/// How many characters of a field an error shows.
const SHOWN_MAX: usize = 40;

/// The whole numbers that `f64` tells apart, and `f32` labels never need more of.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// Reads a CSV file whole.
pub(super) fn read(input: Input, config: &DataConfig) -> Result<Loaded, DataFault> {
    let mut rows = Rows::new(input);
    if !rows.advance()? {
        return Err(DataFault::Empty);
    }
    let columns = Columns::choose(rows.header()?, config)?;
    let mut features = Vec::new();
    let mut targets = TargetColumns::new(config.task);
    while rows.advance()? {
        rows.check_len(columns.names.len())?;
        for &column in &columns.features {
            features.push(rows.number(column, &columns)?);
        }
        for &column in &columns.targets {
            targets.push(&rows, column, &columns)?;
        }
        if LEN_MAX_BYTES < 4 * features.len() as u64 {
            return Err(DataFault::TooLarge { what: format!("by line {}", rows.line) });
        }
    }
    let (targets, classes) = targets.finish(&columns)?;
    let examples = Dataset::new(features, vec![columns.features.len()], targets)?;
    let names = ExampleNames {
        features: columns.named(&columns.features),
        classes,
        targets: columns.named(&columns.targets),
    };
    Ok(Loaded { examples, test: None, names })
}

/// What is read after the file: it ends the last row, and comes back as a row of its own (a quoted
/// line feed) unless the file left a quote open, which it closes.
const SENTINEL: &[u8] = b"\n\"\n";

/// One row after another.
struct Rows {
    reader: Reader<Chain<Take<Input>, &'static [u8]>>,
    record: ByteRecord,
    /// The line that the last row begins at, from one, and how many it takes.
    line: u64,
    n_lines: u64,
}

impl Rows {
    fn new(input: Input) -> Self {
        // Rows end in a line feed alone: only then does the reader's count tell where a row began.
        // A carriage return before it is trimmed as white space.
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .terminator(Terminator::Any(b'\n'))
            .from_reader(input.take(LEN_MAX_BYTES + 1).chain(SENTINEL));
        Self { reader, record: ByteRecord::new(), line: 0, n_lines: 0 }
    }

    /// Goes to the next row that is not blank, if there is one.
    fn advance(&mut self) -> Result<bool, DataFault> {
        let mut is_ended = false;
        loop {
            match self.reader.read_byte_record(&mut self.record) {
                Ok(true) => {}
                Ok(false) if is_ended => return Ok(false),
                Ok(false) => return Err(self.open_quote()),
                Err(error) => return Err(self.fault(error)),
            }
            let position = self.reader.position();
            if LEN_MAX_BYTES + (SENTINEL.len() as u64) < position.byte() {
                return Err(DataFault::TooLarge { what: "decompressed".into() });
            }
            let row = self.record.as_slice();
            if self.record.len() == 1 && row.trim_ascii().is_empty() {
                is_ended = row == b"\n";
                continue;
            }
            // A quoted field may hold line feeds.
            self.n_lines = 1 + row.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.line = position.line() - self.n_lines;
            return Ok(true);
        }
    }

    fn open_quote(&self) -> DataFault {
        DataFault::OpenQuote { line: self.line, n_lines: self.n_lines }
    }

    fn fault(&self, error: ::csv::Error) -> DataFault {
        match error.into_kind() {
            ::csv::ErrorKind::Io(reason) => {
                self.reader.get_ref().get_ref().0.get_ref().fault(reason)
            }
            kind => unreachable!("flexible rows of bytes fail by input alone: {kind:?}"),
        }
    }

    fn header(&self) -> Result<Vec<String>, DataFault> {
        if N_COLUMNS_MAX < self.record.len() {
            return Err(DataFault::TooLarge { what: format!("{} columns", self.record.len()) });
        }
        // A column could be named over two lines, but none ever is.
        if 1 < self.n_lines {
            return Err(self.open_quote());
        }
        let names: Vec<String> = (0..self.record.len())
            .map(|it| self.text(it).map(str::to_owned))
            .collect::<Result<_, _>>()?;
        if names.iter().any(|name| name.contains('\r')) {
            let reason = "lines end in a carriage return without a line feed".to_owned();
            return Err(DataFault::BadHeader { reason });
        }
        Ok(names)
    }

    fn check_len(&self, expected: usize) -> Result<(), DataFault> {
        let found = self.record.len();
        if found == expected {
            return Ok(());
        }
        if 1 < self.n_lines {
            return Err(self.open_quote());
        }
        Err(DataFault::Ragged { line: self.line, expected, found })
    }

    fn text(&self, column: usize) -> Result<&str, DataFault> {
        let field = self.record.get(column).unwrap_or_default();
        match std::str::from_utf8(field) {
            Ok(text) => Ok(text.trim()),
            Err(_) => Err(DataFault::NotText { line: self.line }),
        }
    }

    fn number(&self, column: usize, columns: &Columns) -> Result<f32, DataFault> {
        let text = self.text(column)?;
        let problem = match text.parse::<f32>() {
            Ok(number) if number.is_finite() => return Ok(number),
            Ok(_) => "is not a finite f32; correct it or remove the row",
            Err(_) if text.is_empty() => "is empty; fill it in or remove the row",
            Err(_) => "is not a number; write it as one or remove the column",
        };
        Err(bad_cell(self.line, &columns.names[column], text, problem))
    }
}

/// Which columns are features and which are targets.
struct Columns {
    names: Vec<String>,
    features: Vec<usize>,
    /// In the order that `label` names them.
    targets: Vec<usize>,
}

impl Columns {
    fn choose(names: Vec<String>, config: &DataConfig) -> Result<Self, DataFault> {
        check_names(&names)?;
        let targets = match &config.label {
            None => vec![names.len() - 1],
            Some(label) => find_targets(&names, label, config.task)?,
        };
        let features: Vec<usize> =
            (0..names.len()).filter(|column| !targets.contains(column)).collect();
        if features.is_empty() {
            return Err(DataFault::NoFeatures);
        }
        Ok(Self { names, features, targets })
    }

    fn named(&self, columns: &[usize]) -> Vec<String> {
        columns.iter().map(|&column| self.names[column].clone()).collect()
    }
}

fn check_names(names: &[String]) -> Result<(), DataFault> {
    if let Some(column) = names.iter().position(String::is_empty) {
        return Err(DataFault::UnnamedColumn { column: column + 1 });
    }
    // Numbers are a forgotten header, unless they count the columns, as pandas does by default.
    let all_numbers = names.iter().all(|name| name.parse::<f64>().is_ok());
    let counted = names.iter().enumerate().all(|(column, name)| *name == column.to_string());
    if all_numbers && !counted {
        return Err(DataFault::NoHeader);
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(DataFault::DuplicateColumn { name: pair[0].clone() }),
        None => Ok(()),
    }
}

fn find_targets(names: &[String], label: &str, task: Task) -> Result<Vec<usize>, DataFault> {
    let find = |wanted: &str| names.iter().position(|name| name == wanted);
    // A name may hold a comma itself.
    if let Some(column) = find(label) {
        return Ok(vec![column]);
    }
    let mut targets = Vec::new();
    for wanted in label.split(',').map(str::trim) {
        let column = find(wanted).ok_or_else(|| missing_label(names, wanted))?;
        if targets.contains(&column) {
            return Err(DataFault::BadLabel { label: label.to_owned() });
        }
        targets.push(column);
    }
    if task == Task::Classification && targets.len() != 1 {
        return Err(DataFault::BadLabel { label: label.to_owned() });
    }
    Ok(targets)
}

fn missing_label(names: &[String], label: &str) -> DataFault {
    let names = || names.iter().map(String::as_str);
    DataFault::MissingLabel {
        kind: "column",
        label: label.to_owned(),
        nearest: nearest(label, names()).map(str::to_owned),
        names: first_names(names()),
    }
}

/// Targets as they are read, row after row.
enum TargetColumns {
    Classes {
        /// Each text, numbered as it first came, and the line it came in.
        seen: BTreeMap<String, (u32, u64)>,
        labels: Vec<u32>,
    },
    Values(Vec<f32>),
}

impl TargetColumns {
    fn new(task: Task) -> Self {
        match task {
            Task::Classification => Self::Classes { seen: BTreeMap::new(), labels: Vec::new() },
            Task::Regression => Self::Values(Vec::new()),
        }
    }

    fn push(&mut self, rows: &Rows, column: usize, columns: &Columns) -> Result<(), DataFault> {
        let (seen, labels) = match self {
            Self::Classes { seen, labels } => (seen, labels),
            Self::Values(values) => {
                values.push(rows.number(column, columns)?);
                return Ok(());
            }
        };
        let text = rows.text(column)?;
        if let Some((label, _)) = seen.get(text) {
            labels.push(*label);
            return Ok(());
        }
        if text.is_empty() || text.parse::<f64>().is_ok_and(f64::is_nan) {
            let problem = "is not a class; fill it in or remove the row";
            return Err(bad_cell(rows.line, &columns.names[column], text, problem));
        }
        if seen.len() == N_CLASSES_MAX {
            return Err(DataFault::TooManyClasses);
        }
        let label = seen.len() as u32;
        seen.insert(text.to_owned(), (label, rows.line));
        labels.push(label);
        Ok(())
    }

    /// The targets, and the names of their classes.
    fn finish(self, columns: &Columns) -> Result<(Targets, Vec<String>), DataFault> {
        match self {
            Self::Values(values) => {
                let width = columns.targets.len();
                Ok((Targets::Values { values: values.into(), width }, Vec::new()))
            }
            Self::Classes { seen, labels } => {
                let column = &columns.names[columns.targets[0]];
                let (names, rank) = rank_classes(&seen, column)?;
                let labels = labels.into_iter().map(|label| rank[label as usize]).collect();
                Ok((Targets::Classes { labels, n_classes: names.len() }, names))
            }
        }
    }
}

/// The sorted names of the classes, and the place among them of each as it first came.
///
/// Whole numbers sort as numbers, so that 10 follows 9; anything else as text.
fn rank_classes(
    seen: &BTreeMap<String, (u32, u64)>,
    column: &str,
) -> Result<(Vec<String>, Vec<u32>), DataFault> {
    let mut rank = vec![0; seen.len()];
    let numbers: Option<Vec<f64>> = seen.keys().map(|text| text.parse().ok()).collect();
    let Some(numbers) = numbers.filter(|it| it.iter().all(|number| number.abs() < WHOLE_MAX))
    else {
        for (place, (first, _)) in (0..).zip(seen.values()) {
            rank[*first as usize] = place;
        }
        return Ok((seen.keys().cloned().collect(), rank));
    };
    let mut by_number = BTreeMap::<i64, Vec<u32>>::new();
    for ((text, (first, line)), number) in seen.iter().zip(numbers) {
        if number.fract() != 0.0 {
            let problem = "is not a whole number; is the task \"regression\"?";
            return Err(bad_cell(*line, column, text, problem));
        }
        by_number.entry(number as i64).or_default().push(*first);
    }
    for (place, firsts) in (0..).zip(by_number.values()) {
        firsts.iter().for_each(|first| rank[*first as usize] = place);
    }
    Ok((by_number.keys().map(i64::to_string).collect(), rank))
}

fn bad_cell(line: u64, column: &str, text: &str, problem: &'static str) -> DataFault {
    let value = text.chars().take(SHOWN_MAX).collect();
    DataFault::BadCell { line, column: column.to_owned(), value, problem }
}

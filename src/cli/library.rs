//! `esper library`: what a library holds, and how it is kept in order.

use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
};

use clap::{Args as ClapArgs, Subcommand};
use esper::{
    engine::run_dir::RunDir,
    seal_library,
    systems::{
        nissa::table,
        urza::{
            self, BlueprintDetails, Details, GcOptions, GcReport, KernelDetails, KernelQuery,
            KernelRow, LibraryError, LibraryErrorKind, LibraryStore, Listing, Transferred,
        },
    },
};
use esper_nn::{contract::Contract, digest::Digest};

use super::{failure::Failure, output::Output};

/// Arguments of `esper library`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// One JSON object on standard output.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// List blueprints and kernels.
    Ls {
        #[command(flatten)]
        library: LibraryArg,
        /// Only kernels with this tag; may be given often.
        #[arg(long = "tag", value_name = "TAG")]
        tags: Vec<String>,
    },
    /// Show all that is known of one blueprint or kernel.
    Show {
        #[command(flatten)]
        library: LibraryArg,
        /// How its id begins.
        id: String,
    },
    /// Remove superseded versions and rejected kernels.
    Gc {
        #[command(flatten)]
        library: LibraryArg,
        /// Latest runs of which everything is kept.
        #[arg(long, value_name = "N", default_value_t = 0)]
        keep_runs: usize,
    },
    /// Write blueprints and their kernels to a file.
    Export {
        #[command(flatten)]
        library: LibraryArg,
        /// The file, which must not be there yet.
        file: PathBuf,
        /// How the ids begin of what is written; without any, everything is.
        ids: Vec<String>,
    },
    /// Add what an export wrote.
    Import {
        #[command(flatten)]
        library: LibraryArg,
        /// The file.
        file: PathBuf,
    },
}

#[derive(ClapArgs)]
struct LibraryArg {
    /// A library, or the folder of a run that has one.
    #[arg(value_name = "LIBRARY")]
    path: PathBuf,
}

/// A library's file, and the run it belongs to alone.
struct Place {
    file: PathBuf,
    owner: Option<RunDir>,
}

/// Does what is asked of a library.
pub fn execute(args: &Args, output: Output) -> Result<(), Failure> {
    match &args.verb {
        Verb::Ls { library, tags } => {
            let required_tags: BTreeSet<String> = tags.iter().cloned().collect();
            let query = KernelQuery { required_tags, ..KernelQuery::default() };
            let listing = urza::ls(library.place()?.file, &query)?;
            output.print_result("library", &listing, list_text(&listing).trim_end());
        }
        Verb::Show { library, id } => {
            let details = urza::show(library.place()?.file, id)?;
            match &details {
                Details::Blueprint(it) => {
                    output.print_result("blueprint", it, blueprint_text(it).trim_end())
                }
                Details::Kernel(it) => {
                    output.print_result("kernel", it, kernel_text(it).trim_end())
                }
            }
        }
        Verb::Gc { library, keep_runs } => {
            let place = library.place()?;
            let report = urza::gc(&place.file, GcOptions { keep_runs: *keep_runs })?;
            place.was_changed()?;
            output.print_result("gc", &report, gc_text(&report));
        }
        Verb::Export { library, file, ids } => {
            let from = library.place()?.file;
            let done = urza::export(&from, file, &resolve(&from, ids)?)?;
            output.print_result("export", &done, moved_text("wrote", &done, file));
        }
        Verb::Import { library, file } => {
            let place = library.place()?;
            let done = urza::import(&place.file, file)?;
            place.was_changed()?;
            output.print_result("import", &done, moved_text("added", &done, &place.file));
        }
    }
    Ok(())
}

impl LibraryArg {
    fn place(&self) -> Result<Place, Failure> {
        if !self.path.is_dir() {
            return Ok(Place { file: self.path.clone(), owner: None });
        }
        let dir = RunDir::open(&self.path)?;
        Ok(match dir.read_manifest()?.library {
            Some(file) => Place { file, owner: None },
            None => Place { file: dir.library(), owner: Some(dir) },
        })
    }
}

impl Place {
    /// Updates the library's digest in the summary of the run that owns it.
    fn was_changed(&self) -> Result<(), Failure> {
        self.owner.as_ref().map_or(Ok(()), seal_library).map_err(Failure::from)
    }
}

impl From<LibraryError> for Failure {
    fn from(error: LibraryError) -> Self {
        use LibraryErrorKind::{Ambiguous, NoMatch, NotALibrary, NotFound};
        match error.kind {
            Ambiguous { .. } | NoMatch { .. } | NotALibrary(_) | NotFound => Self::usage(error),
            _ => Self::failed(error),
        }
    }
}

fn resolve(library: &Path, prefixes: &[String]) -> Result<Vec<Digest>, Failure> {
    let store = LibraryStore::open_read_only(library)?;
    prefixes.iter().map(|prefix| Ok(store.resolve(prefix)?)).collect()
}

fn list_text(listing: &Listing) -> String {
    let header =
        ["blueprint", "family", "keeps", "status", "params", "FLOPs", "kernels", "version"];
    let rows: Vec<Vec<String>> = listing
        .blueprints
        .iter()
        .map(|it| {
            vec![
                it.id.0.short(),
                it.family.clone(),
                shape_text(it.contract),
                word(&it.status),
                it.params_elems.to_string(),
                it.flops_per_example.to_string(),
                it.n_kernels.to_string(),
                it.version.to_string(),
            ]
        })
        .collect();
    format!("{}\n{}", table(&header, &rows), kernels_text(&listing.kernels))
}

fn kernels_text(kernels: &[KernelRow]) -> String {
    let header = [
        "kernel",
        "family",
        "keeps",
        "variant",
        "status",
        "params",
        "FLOPs",
        "latency us",
        "used",
        "kept",
        "gain",
        "tags",
    ];
    let rows: Vec<Vec<String>> = kernels.iter().map(kernel_row).collect();
    table(&header, &rows)
}

fn kernel_row(it: &KernelRow) -> Vec<String> {
    vec![
        it.id.0.short(),
        it.family.clone(),
        shape_text(it.contract),
        it.variant.clone(),
        word(&it.status),
        it.params_elems.to_string(),
        it.flops_per_example.to_string(),
        or_dash(it.latency_ns.map(|ns| format!("{:.1}", ns as f64 / 1000.0))),
        it.n_deployments.to_string(),
        it.n_fossilized.to_string(),
        or_dash(it.gain_mean.map(|gain| format!("{gain:+.4}"))),
        or_dash((!it.tags.is_empty()).then(|| it.tags.join(" "))),
    ]
}

fn blueprint_text(details: &BlueprintDetails) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| write_row(&mut text, name, value);
    if let Some(newest) = details.versions.last() {
        let it = &newest.record;
        row("blueprint", &it.id.0.to_string());
        row("family", &it.family);
        row("keeps", &shape_text(it.contract));
        row("status", &format!("{}, version {}", word(&it.status), newest.version));
        row("intent", &it.intent);
        row("basis", &it.basis);
        row("params", &it.params_elems.to_string());
        row("FLOPs", &format!("{} an example, forward", it.flops_per_example));
        row("run", &it.run);
    }
    for (index, node) in details.nodes.iter().enumerate() {
        row(if index == 0 { "graph" } else { "" }, node);
    }
    format!("{text}\n{}", kernels_text(&details.kernels))
}

fn kernel_text(details: &KernelDetails) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| write_row(&mut text, name, value);
    if let Some(newest) = details.versions.last() {
        let it = &newest.record;
        row("kernel", &it.id.0.to_string());
        row("blueprint", &format!("{} ({})", it.blueprint.0, details.family));
        row("keeps", &shape_text(it.contract));
        row("status", &format!("{}, version {}", word(&it.status), newest.version));
        row("variant", &format!("{} for {}", it.variant, it.device));
        row(
            "optimized",
            &or_dash((!it.optimizations.is_empty()).then(|| it.optimizations.join(", "))),
        );
        row("program", &it.program.to_string());
        row("FLOPs", &format!("{} forward, {} backward", it.flops_forward, it.flops_backward));
        row("memory", &format!("{} bytes an example", it.workspace_bytes));
        let latency = it.measured.as_ref().map(|measured| {
            let us = |ns: u64| ns as f64 / 1000.0;
            let (forward, backward) = (us(measured.forward_ns), us(measured.backward_ns));
            format!("{forward:.1} us forward, {backward:.1} us backward, batch {}", measured.batch)
        });
        row("latency", &or_dash(latency));
        row("tags", &or_dash((!it.tags.is_empty()).then(|| it.tags.join(" "))));
        let signature = match details.is_signature_valid {
            Some(true) => "valid",
            Some(false) => "NOT VALID",
            None => "-",
        };
        row("signature", signature);
        row("run", &it.run);
        for (index, reason) in it.reasons.iter().enumerate() {
            row(if index == 0 { "verdict" } else { "" }, reason);
        }
    }
    let rows: Vec<Vec<String>> = details
        .deployments
        .iter()
        .map(|it| {
            vec![
                it.run.clone(),
                it.host.to_string(),
                it.seed.to_string(),
                it.site.clone(),
                it.outcome.to_string(),
                it.step.to_string(),
                or_dash(it.gain.map(|gain| format!("{:+.4}", gain.mean))),
            ]
        })
        .collect();
    format!("{text}\n{}", table(&["run", "host", "seed", "site", "outcome", "step", "gain"], &rows))
}

fn write_row(text: &mut String, name: &str, value: &str) {
    writeln!(text, "{name:<11}{value}").expect("a string takes all");
}

fn gc_text(report: &GcReport) -> String {
    let GcReport { n_blueprint_versions, n_kernel_versions, n_kernels, n_deployments, .. } = report;
    format!(
        "removed {n_blueprint_versions} versions of blueprints, {n_kernel_versions} of kernels, {n_kernels} rejected \
         kernels, {n_deployments} deployments and {} blobs; {} bytes before, {} after",
        report.n_blobs, report.before_bytes, report.after_bytes
    )
}

fn moved_text(verb: &str, done: &Transferred, to: &Path) -> String {
    let Transferred { n_blueprints, n_kernels, n_deployments, .. } = done;
    format!(
        "{}: {verb} {n_blueprints} blueprints, {n_kernels} kernels, {n_deployments} deployments",
        to.display()
    )
}

fn shape_text(contract: Contract) -> String {
    let batch = |shape: Vec<usize>| {
        let axes: String = shape.iter().map(|len| format!(", {len}")).collect();
        format!("f32[batch{axes}]")
    };
    let causal = if contract.is_causal() { " causal" } else { "" };
    let from = batch(contract.shape());
    match contract.layer() {
        Some(_) => format!("{from} -> {}{causal}", batch(contract.output_shape())),
        None => format!("{from}{causal}"),
    }
}

/// The one word that `status` is in files.
fn word(status: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(status).expect("plain data serialises");
    value.as_str().unwrap_or_default().to_lowercase()
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_reads_as_the_batch_it_is_for() {
        let image = Contract::Image { channels: 16, height: 8, width: 8 };
        let sequence = |is_causal| Contract::Sequence { len: 64, width: 32, is_causal };
        assert_eq!(shape_text(Contract::Vector { width: 64 }), "f32[batch, 64]");
        assert_eq!(shape_text(image), "f32[batch, 16, 8, 8]");
        assert_eq!(shape_text(sequence(false)), "f32[batch, 64, 32]");
        assert_eq!(shape_text(sequence(true)), "f32[batch, 64, 32] causal");
    }
}

//! What must hold of a record and the bytes it names, whether they lie in a library or come in a bundle.

use std::sync::Arc;

use esper_engine::{
    graph::NetworkGraph,
    program::{PIPELINE_VERSION, Program},
    world::kernel::{Kernel, KernelStatus},
};

use super::record::{BlueprintRecord, KernelRecord};

/// What is wrong with a blueprint whose graph has the bytes `graph`, in sentences.
pub(super) fn blueprint_faults(record: &BlueprintRecord, graph: &[u8]) -> Vec<String> {
    let graph: NetworkGraph = match postcard::from_bytes(graph) {
        Ok(graph) => graph,
        Err(error) => return vec![format!("its graph can not be decoded: {error}")],
    };
    let named = record.to_blueprint(Arc::new(graph)).id(record.contract);
    let is_named = named == record.id;
    if is_named { Vec::new() } else { vec![format!("its graph belongs to blueprint {}", named.0)] }
}

/// What is wrong with a kernel whose program has the bytes `program`, in sentences.
pub(super) fn kernel_faults(record: &KernelRecord, program: Option<&[u8]>) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(Err(error)) = program.map(postcard::from_bytes::<Program>) {
        faults.push(format!("its program can not be decoded: {error}"));
    }
    if !record.tags.is_sorted() {
        faults.push("its tags are out of order".to_owned());
    }
    // Another pipeline's names can not be computed here.
    if record.pipeline_version == PIPELINE_VERSION {
        let named = Kernel::id(record.blueprint, &record.device, &record.variant);
        if named != record.id {
            faults.push(format!("what it was compiled from belongs to kernel {}", named.0));
        }
    }
    match (&record.signature, record.status) {
        (Some(signature), _) if !signature.is_valid_for(&record.signed_digest()) => {
            faults.push(format!("the signature of {} does not fit it", signature.signer));
        }
        (None, KernelStatus::Validated | KernelStatus::Rejected) => {
            faults.push("it was judged and nobody signed it".to_owned());
        }
        _ => {}
    }
    faults
}

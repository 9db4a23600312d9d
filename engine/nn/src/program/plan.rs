//! The memory plan: tensors whose lives do not overlap share bytes.

use super::{Backward, Forward, Region, Scheduled, TensorId};

/// When a tensor is alive, in instruction numbers, both ends included.
#[derive(Clone, Copy, Debug)]
struct Life {
    first: usize,
    last: usize,
}

/// Places every tensor and returns the regions and the length of the workspace for one example.
///
/// Greedy by size, first fit, as in Pisarchyk and Lee 2020 (section 5.3): largest first, at the lowest offset
/// that is free for its whole life. `pinned` tensors live from the first instruction to the last: their users are
/// outside the program.
pub(super) fn plan(
    elems: &[usize],
    forward: &[Scheduled<Forward>],
    backward: &[Scheduled<Backward>],
    pinned: &[TensorId],
    boundary: &[TensorId],
) -> (Vec<Region>, usize) {
    let lives = lives(elems.len(), forward, backward, pinned, boundary);
    let mut order: Vec<usize> = (0..elems.len()).filter(|id| lives[*id].is_some()).collect();
    order.sort_by_key(|id| (std::cmp::Reverse(elems[*id]), *id));
    let mut regions = vec![Region::default(); elems.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(order.len());
    let mut workspace_elems = 0;
    for id in order {
        let mut taken: Vec<Region> = placed
            .iter()
            .filter(|other| overlaps(lives[id], lives[**other]))
            .map(|other| regions[*other])
            .collect();
        taken.sort_by_key(|region| region.offset);
        let mut offset = 0;
        for region in taken {
            if offset + elems[id] <= region.offset {
                break;
            }
            offset = offset.max(region.offset + region.elems);
        }
        regions[id] = Region { offset, elems: elems[id] };
        workspace_elems = workspace_elems.max(offset + elems[id]);
        placed.push(id);
    }
    (regions, workspace_elems)
}

fn lives(
    n_tensors: usize,
    forward: &[Scheduled<Forward>],
    backward: &[Scheduled<Backward>],
    pinned: &[TensorId],
    boundary: &[TensorId],
) -> Vec<Option<Life>> {
    let mut lives: Vec<Option<Life>> = vec![None; n_tensors];
    let mut touch = |id: TensorId, at: usize| {
        let life = lives[id.0 as usize].get_or_insert(Life { first: at, last: at });
        life.first = life.first.min(at);
        life.last = life.last.max(at);
    };
    // Forward is 0..F, whoever runs the program acts at F, backward is F+1..
    let turn = forward.len();
    for (at, step) in forward.iter().enumerate() {
        step.instr.tensors().into_iter().for_each(|id| touch(id, at));
    }
    for (at, step) in backward.iter().enumerate() {
        step.instr.tensors().into_iter().for_each(|id| touch(id, turn + 1 + at));
    }
    boundary.iter().for_each(|id| touch(*id, turn));
    for id in pinned {
        touch(*id, 0);
        touch(*id, turn + 1 + backward.len());
    }
    lives
}

fn overlaps(a: Option<Life>, b: Option<Life>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a.first <= b.last && b.first <= a.last)
}

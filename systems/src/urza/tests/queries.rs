//! A query gives what fits, best first, in an order that nothing but content decides.

use std::collections::BTreeSet;

use esper_engine::world::{ids::KernelId, kernel::KernelStatus, stage::Stage};
use esper_nn::{contract::Contract, digest::Digest};
use proptest::prelude::*;

use super::{contract, filled, place, validated};
use crate::urza::{Details, KernelQuery, LibraryErrorKind, LibraryStore};

fn tags(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn preferred_tags_go_before_speed_and_speed_before_names() {
    let (_dir, path) = place();
    let (store, names) = filled(&path);
    let [low_rank, glu, norm, refused] = names[..] else { panic!("four kernels") };
    let ask = |query: &KernelQuery| -> Vec<_> {
        store.query(query).unwrap().into_iter().map(|kernel| kernel.id).collect()
    };
    assert_eq!(ask(&KernelQuery::default()), [glu, norm, low_rank, refused], "not measured: last");
    let preferred_tags = tags(&["small", "slow"]);
    let query = KernelQuery { preferred_tags, ..KernelQuery::default() };
    assert_eq!(ask(&query), [low_rank, norm, glu, refused]);
    let (required_tags, excluded_tags) = (tags(&["small"]), tags(&["slow"]));
    let query = KernelQuery { required_tags, excluded_tags, ..KernelQuery::default() };
    assert_eq!(ask(&query), [norm]);
    let status = Some(KernelStatus::Rejected);
    assert_eq!(ask(&KernelQuery { status, ..KernelQuery::default() }), [refused]);
    let latency_max_ns = Some(600);
    assert_eq!(ask(&KernelQuery { latency_max_ns, ..KernelQuery::default() }), [glu, norm]);
}

#[test]
fn sites_of_as_many_values_do_not_share_kernels() {
    let (_dir, path) = place();
    let store = LibraryStore::open(&path).unwrap();
    let sequence = |is_causal| Contract::Sequence { len: 4, width: 16, is_causal };
    let image = Contract::Image { channels: 4, height: 4, width: 4 };
    let contracts = [contract(64), image, sequence(false), sequence(true)];
    let mut names = Vec::new();
    for contract in contracts {
        let mut batch = validated("run-a", "norm", 100, &[]);
        let (record, _) = &mut batch.kernels[0];
        record.id = KernelId(Digest::of_value(&contract));
        record.contract = contract;
        names.push(record.id);
        store.commit(&batch).unwrap();
    }
    for (contract, name) in contracts.into_iter().zip(names) {
        let query = KernelQuery { contract: Some(contract), ..KernelQuery::default() };
        let found: Vec<_> = store.query(&query).unwrap().iter().map(|it| it.id).collect();
        assert_eq!(found, [name], "{contract:?}");
    }
}

#[test]
fn every_limit_refuses_what_is_above_it() {
    let (_dir, path) = place();
    let (store, names) = filled(&path);
    let kernel = store.kernel(names[0]).unwrap().unwrap().record;
    let flops = kernel.flops_forward + kernel.flops_backward;
    let limits = |params, workspace, flops| KernelQuery {
        contract: Some(contract(8)),
        device: Some("cpu".to_owned()),
        params_max_elems: Some(params),
        workspace_max_bytes: Some(workspace),
        flops_max: Some(flops),
        ..KernelQuery::default()
    };
    let (params, workspace) = (kernel.params_elems, kernel.workspace_bytes);
    assert_eq!(store.query(&limits(params, workspace, flops)).unwrap().len(), 4);
    assert!(store.query(&limits(params - 1, workspace, flops)).unwrap().is_empty());
    assert!(store.query(&limits(params, workspace - 1, flops)).unwrap().is_empty());
    assert!(store.query(&limits(params, workspace, flops - 1)).unwrap().is_empty());
    let other = KernelQuery { contract: Some(contract(9)), ..KernelQuery::default() };
    assert!(store.query(&other).unwrap().is_empty());
    let other = KernelQuery { device: Some("cuda:0".to_owned()), ..KernelQuery::default() };
    assert!(store.query(&other).unwrap().is_empty());
}

#[test]
fn a_run_that_is_built_sees_what_others_validated_and_not_what_it_wrote_itself() {
    let (_dir, path) = place();
    let (store, names) = filled(&path);
    let known = store.known_kernels(&names, "run-b").unwrap();
    assert_eq!(known.iter().map(|it| it.id).collect::<Vec<_>>(), names[..3]);
    assert!(store.known_kernels(&names, "run-a").unwrap().is_empty());
    store.commit(&validated("run-b", "glu", 7, &["fast"])).unwrap();
    let known = store.known_kernels(&names[1..2], "run-b").unwrap();
    assert_eq!(known[0].latency_ns(), Some(300), "as run-a left it");
}

#[test]
fn a_prefix_shows_one_thing_or_says_why_not() {
    let (_dir, path) = place();
    let (store, names) = filled(&path);
    let text = names[0].0.to_string();
    let Details::Kernel(kernel) = store.show(&text.to_uppercase()[..16]).unwrap() else {
        panic!("it is a kernel")
    };
    assert_eq!((kernel.family.as_str(), kernel.is_signature_valid), ("low_rank", Some(true)));
    assert_eq!(kernel.deployments[0].outcome, Stage::Fossilized);
    let blueprint = kernel.versions[0].record.blueprint;
    let Details::Blueprint(blueprint) = store.show(&blueprint.0.to_string()).unwrap() else {
        panic!("it is a blueprint")
    };
    assert_eq!((blueprint.nodes.len(), blueprint.kernels.len()), (2, 1));
    assert_eq!(blueprint.kernels[0].gain_mean, Some(0.25));
    let error = store.show("").unwrap_err();
    assert!(
        matches!(&error.kind, LibraryErrorKind::Ambiguous { candidates, .. } if candidates.len() == 8)
    );
    let error = store.show("not hexadecimal").unwrap_err();
    assert!(matches!(error.kind, LibraryErrorKind::NoMatch { .. }));
}

#[test]
fn tables_can_be_written_as_json() {
    let (_dir, path) = place();
    let (store, names) = filled(&path);
    let listing = serde_json::to_value(store.list(&KernelQuery::default()).unwrap()).unwrap();
    assert_eq!(listing["kernels"].as_array().unwrap().len(), 4);
    assert_eq!(listing["kernels"][0]["family"], "glu");
    let details = serde_json::to_value(store.show(&names[0].0.to_string()).unwrap()).unwrap();
    assert_eq!(details["kind"], "kernel");
    assert_eq!(details["versions"][0]["status"], "VALIDATED");
    assert_eq!(details["versions"][0]["signature"]["signer"].as_str().unwrap().len(), 64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_order_of_answers_does_not_depend_on_the_order_of_writing(
        order in Just((0..6_u64).collect::<Vec<_>>()).prop_shuffle(),
        preferred in prop::sample::subsequence(vec!["tag0", "tag1", "tag2"], 0..3),
    ) {
        let query = KernelQuery { preferred_tags: tags(&preferred), ..KernelQuery::default() };
        let answer = |order: &[u64]| {
            let (_dir, path) = place();
            let store = LibraryStore::open(&path).unwrap();
            for n in order {
                let tag = format!("tag{}", n % 3);
                store.commit(&validated("run", &format!("family{n}"), 100 + n / 2, &[&tag])).unwrap();
            }
            let found = store.query(&query).unwrap();
            assert!(found.is_sorted_by_key(|kernel| query.rank(kernel)));
            found.into_iter().map(|kernel| kernel.id).collect::<Vec<_>>()
        };
        let ascending: Vec<u64> = (0..6).collect();
        prop_assert_eq!(answer(&order), answer(&ascending));
    }
}

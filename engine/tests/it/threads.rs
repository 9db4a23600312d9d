//! A large host uses every thread of its pool, and none of its bits know.

use esper_engine::runtime::HostRuntime;
use esper_nn::{digest::Digest, module::Incubation};

use crate::support::{Family, Settings, bind, host_of};

/// The weights after some steps with a seed incubating, in a pool of `n_threads`.
fn digest_on(family: Family, n_threads: usize) -> Digest {
    let settings = Settings { threads: n_threads, ..Settings::default() };
    let factor = match family {
        Family::Mlp => 64,
        Family::Cnn => 10,
        Family::Transformer => 5,
    };
    let graph = family.graph_of_width(0.1, factor);
    let mut host = host_of(&settings, graph, family.data());
    assert_eq!(host.is_split(), n_threads > 1, "{family:?} is large enough");
    bind(&mut host, 1, 1, Incubation::StraightThrough);
    let steps = |host: &mut HostRuntime| (0..6).for_each(|_| host.step().unwrap());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
    pool.install(|| steps(&mut host));
    host.weights_digest()
}

#[test]
fn a_large_host_has_the_same_bits_on_any_number_of_threads() {
    for family in Family::ALL {
        let alone = digest_on(family, 1);
        for n_threads in [2, 3, 7] {
            assert_eq!(digest_on(family, n_threads), alone, "{family:?} on {n_threads} threads");
        }
    }
}

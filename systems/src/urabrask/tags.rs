//! Fifth: words for figures, by where a kernel stands among all that were measured for sites alike.

use esper_engine::world::kernel::{Kernel, Measured};

/// Kernels below which nobody stands out.
const POPULATION_MIN: usize = 3;
/// The share of the population that a tag names, from either end.
const SHARE: f64 = 1.0 / 3.0;

/// What is compared, and the words for little and much of it.
struct Scale {
    figure: fn(&Figures) -> u64,
    little: &'static str,
    much: &'static str,
}

const SCALES: [Scale; 4] = [
    Scale { figure: |it| it.latency_ns, little: "fast", much: "slow" },
    Scale { figure: |it| it.params_elems, little: "small", much: "large" },
    Scale { figure: |it| it.workspace_bytes, little: "low_memory", much: "high_memory" },
    Scale { figure: |it| it.flops, little: "light", much: "heavy" },
];

/// What of a kernel is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    latency_ns: u64,
    params_elems: u64,
    workspace_bytes: u64,
    flops: u64,
}

impl Figures {
    pub fn new(kernel: &Kernel, measured: &Measured) -> Self {
        Self {
            latency_ns: measured.forward_ns + measured.backward_ns,
            params_elems: kernel.params_elems,
            workspace_bytes: kernel.workspace_bytes,
            flops: kernel.flops_forward + kernel.flops_backward,
        }
    }
}

/// The tags of `own` in `population`, of which it is one.
pub(super) fn tags(own: &Figures, population: &[Figures]) -> Vec<String> {
    if population.len() < POPULATION_MIN {
        return Vec::new();
    }
    let word = |Scale { figure, little, much }: Scale| {
        let n_below = population.iter().filter(|it| figure(it) < figure(own)).count();
        let n_equal = population.iter().filter(|it| figure(it) == figure(own)).count();
        // The middle of its ties: of a population that is all alike, nobody stands out.
        let percentile = (n_below as f64 + 0.5 * n_equal as f64) / population.len() as f64;
        match percentile {
            low if low < SHARE => Some(little),
            high if 1.0 - SHARE < high => Some(much),
            _ => None,
        }
    };
    SCALES.into_iter().filter_map(word).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_population_are_tagged_and_its_middle_is_not() {
        let figures =
            |n| Figures { latency_ns: n, params_elems: 5, workspace_bytes: 10 - n, flops: n };
        let population: Vec<Figures> = (0..9).map(figures).collect();
        assert_eq!(tags(&population[0], &population), ["fast", "high_memory", "light"]);
        assert_eq!(tags(&population[4], &population), [""; 0]);
        assert_eq!(tags(&population[8], &population), ["slow", "low_memory", "heavy"]);
        assert_eq!(tags(&population[0], &population[..2]), [""; 0]);
    }
}

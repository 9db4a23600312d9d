//! The gates of a seed's life: what has to hold before it goes on, and what was found.

use bevy_ecs::prelude::*;
use serde::{Deserialize, Deserializer, Serialize};

/// What has to hold before a seed goes on.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// Contract and finite parameters.
    G0,
    /// Kernel validated, resources within limits.
    G1,
    /// Incubation: minimum age, finite, best-scale counterfactual on validation above zero.
    G2,
    /// Alpha reached and host loss not harmed.
    G3,
    /// Stable over a window.
    G4,
    /// Twin: lower bound of the gain above the threshold.
    G5,
}

/// What a gate decided.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// The seed may go on.
    Passed,
    /// It may not.
    Failed,
    /// The evidence does not decide yet: more steps.
    Extended,
    /// The gate does not apply here.
    Waived,
}

/// What a gate saw. In JSON the gate's name is `gate` and the rest, an object of numbers by name, is `numbers`; what was
/// not measured is absent, and what is not finite is `null`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(tag = "gate", content = "numbers")]
pub enum GateEvidence {
    /// Contract and finite parameters.
    G0 {
        /// Parameters of the module, in elements; `None` where there is no sound module.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        params_elems: Option<u64>,
    },
    /// Kernel validated, resources within limits.
    G1 {
        /// Parameters of the module, in elements; `None` where there is no kernel that may be bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        params_elems: Option<u64>,
    },
    /// Incubation. Without a gain the module did not incubate (waived), or is no longer finite (failed).
    G2 {
        /// Best drop in validation loss over the scales tried.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "some_number"
        )]
        gain: Option<f64>,
        /// The scale of that drop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scale: Option<f32>,
        /// The host's steps since the seed began to train.
        age_steps: u64,
    },
    /// Alpha reached.
    G3 {
        /// How far the seed is blended in.
        alpha: f32,
        /// The host's smoothed training loss.
        #[serde(deserialize_with = "number")]
        loss_mean: f64,
        /// That of its twin; of itself before the graft, where there is none.
        #[serde(deserialize_with = "number")]
        reference_loss_mean: f64,
    },
    /// Stability.
    G4 {
        /// The host's smoothed training loss.
        #[serde(deserialize_with = "number")]
        loss_mean: f64,
        /// That of its twin; of itself before the graft, where there is none.
        #[serde(deserialize_with = "number")]
        reference_loss_mean: f64,
        /// Steps over which the host settled.
        window_steps: u64,
    },
    /// The twin.
    G5(TwinEvidence),
}

/// What one look of G5 saw: losses are the averages', over the validation examples that judge.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
pub struct TwinEvidence {
    /// Mean drop in validation loss against the twin.
    #[serde(deserialize_with = "number")]
    pub gain: f64,
    /// Lower end of its interval: `gain - t_needed error`.
    #[serde(deserialize_with = "number")]
    pub gain_low: f64,
    /// Upper end of its interval.
    #[serde(deserialize_with = "number")]
    pub gain_high: f64,
    /// What the module has to be worth.
    #[serde(deserialize_with = "number")]
    pub delta: f64,
    /// Student's t of the gain above `delta`; `None` where nothing varies.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_number")]
    pub t: Option<f64>,
    /// What t has to be above.
    #[serde(deserialize_with = "number")]
    pub t_needed: f64,
    /// Its degrees of freedom.
    #[serde(deserialize_with = "number")]
    pub df: f64,
    /// Standard deviation of a pair's gain by drift, the prior's part included.
    #[serde(deserialize_with = "number")]
    pub drift_sd: f64,
    /// Standard error of the gain by the choice of examples.
    #[serde(deserialize_with = "number")]
    pub sample_error: f64,
    /// Pairs of host and twin.
    pub n_pairs: u64,
    /// Examples that it is over, or blocks of windows of a text.
    pub n_examples: u64,
    /// Validation loss with alpha 0 minus loss with alpha at target. Telemetry only.
    #[serde(deserialize_with = "number")]
    pub gate_gain: f64,
    /// The twin's loss.
    #[serde(deserialize_with = "number")]
    pub twin_loss: f64,
    /// The host's steps since the graft began.
    pub steps_since_graft: u64,
    /// Probability that this verdict, all its looks together, passes a module that adds nothing.
    #[serde(deserialize_with = "number")]
    pub error_rate: f64,
    /// Which look of the verdict this is, from one on.
    pub look: u32,
    /// Which verdict of the host this is, from one on.
    pub verdict: u64,
}

impl GateEvidence {
    /// The gate that saw it.
    pub const fn gate(&self) -> Gate {
        match self {
            Self::G0 { .. } => Gate::G0,
            Self::G1 { .. } => Gate::G1,
            Self::G2 { .. } => Gate::G2,
            Self::G3 { .. } => Gate::G3,
            Self::G4 { .. } => Gate::G4,
            Self::G5(_) => Gate::G5,
        }
    }

    /// The drop in validation loss that was measured, if the gate measures one.
    pub const fn gain(&self) -> Option<f64> {
        match self {
            Self::G2 { gain, .. } => *gain,
            Self::G5(seen) => Some(seen.gain),
            _ => None,
        }
    }
}

/// A number that JSON writes as `null` when it is not finite.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn some_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    number(deserializer).map(Some)
}

/// Where a living seed stands with the gate before its next stage.
#[derive(Component, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateState {
    /// The last verdict given in this stage.
    pub last: Option<(Gate, GateVerdict)>,
    /// The host's step count from which it is judged next.
    pub next_step: u64,
    /// Looks of G5 so far.
    pub n_looks: u32,
}

impl GateState {
    /// Whether `gate` has let the seed pass, or does not apply to it.
    pub fn has_passed(&self, gate: Gate) -> bool {
        matches!(self.last, Some((of, GateVerdict::Passed | GateVerdict::Waived)) if of == gate)
    }

    /// Whether `gate` has refused the seed.
    pub fn has_failed(&self, gate: Gate) -> bool {
        self.last == Some((gate, GateVerdict::Failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_a_gate_and_its_numbers_by_name() {
        let evidence = GateEvidence::G2 { gain: Some(0.5), scale: Some(0.25), age_steps: 40 };
        let text = serde_json::to_string(&evidence).unwrap();
        let expected = r#"{"gate":"G2","numbers":{"gain":0.5,"scale":0.25,"age_steps":40}}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<GateEvidence>(&text).unwrap(), evidence);
        let unmeasured = GateEvidence::G2 { gain: None, scale: None, age_steps: 1 };
        let text = serde_json::to_string(&unmeasured).unwrap();
        assert_eq!(text, r#"{"gate":"G2","numbers":{"age_steps":1}}"#);
        assert_eq!(serde_json::from_str::<GateEvidence>(&text).unwrap(), unmeasured);
    }

    #[test]
    fn what_is_not_finite_comes_back_as_no_number() {
        let evidence = GateEvidence::G5(TwinEvidence {
            gain: 0.1,
            gain_low: f64::NEG_INFINITY,
            gain_high: f64::INFINITY,
            delta: 0.0,
            t: None,
            t_needed: 2.5,
            df: 1.0,
            drift_sd: f64::INFINITY,
            sample_error: 0.1,
            n_pairs: 1,
            n_examples: 1,
            gate_gain: 0.0,
            twin_loss: 1.0,
            steps_since_graft: 3,
            error_rate: 0.025,
            look: 1,
            verdict: 1,
        });
        let text = serde_json::to_string(&evidence).unwrap();
        assert!(text.contains(r#""gain_low":null"#), "{text}");
        let read: GateEvidence = serde_json::from_str(&text).unwrap();
        assert!(matches!(read, GateEvidence::G5(seen) if seen.gain_low.is_nan()));
        assert_eq!((read.gate(), read.gain()), (Gate::G5, Some(0.1)));
    }
}

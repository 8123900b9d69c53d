//! What changes the logits of single tokens: biases, penalties and DRY.

use engine_core::{GenerateParams, SamplerStage, TokenId};

use super::{TokenClasses, dry::Repetitions, penalties::Penalties};

/// The penalties of a request, and what they remember.
#[derive(Debug)]
pub(super) struct Penalizers {
    biases: Vec<(TokenId, f32)>,
    penalties: Option<Penalties>,
    dry: Option<Repetitions>,
    /// Those that come before all other samplers, in their order.
    first: Vec<SamplerStage>,
}

impl Penalizers {
    pub(super) fn new(params: &GenerateParams, prompt: &[TokenId], classes: &TokenClasses) -> Self {
        let active = params
            .stages()
            .iter()
            .copied()
            .filter(|stage| stage.is_active(params));
        Self {
            biases: params
                .logit_bias
                .iter()
                .map(|(token, bias)| (*token, *bias))
                .collect(),
            penalties: params
                .has_penalties()
                .then(|| Penalties::new(params, prompt)),
            dry: params
                .dry
                .as_ref()
                .map(|dry| Repetitions::new(dry, prompt, classes)),
            first: active.take_while(|stage| stage.is_penalty()).collect(),
        }
    }

    /// Whether logits change before other samplers see them.
    pub(super) fn come_first(&self) -> bool {
        !self.biases.is_empty() || !self.first.is_empty()
    }

    /// Looks at what has been generated, before a step.
    pub(super) fn prepare(&mut self) {
        if let Some(dry) = &mut self.dry {
            dry.find();
        }
    }

    /// Applies the biases, and the penalties that come first.
    pub(super) fn apply_first(&self, logits: &mut [f32]) {
        for (token, bias) in &self.biases {
            if let Some(logit) = logits.get_mut(*token as usize) {
                *logit = raised(*logit, *bias);
            }
        }
        for stage in &self.first {
            match (stage, &self.penalties, &self.dry) {
                (SamplerStage::Penalties, Some(penalties), _) => penalties.apply(logits),
                (SamplerStage::Dry, _, Some(dry)) => {
                    for (token, penalty) in dry.penalties() {
                        if let Some(logit) = logits.get_mut(token as usize) {
                            *logit = raised(*logit, -penalty);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// A token's logit behind the penalties.
    pub(super) fn penalty_of(&self, token: TokenId, logit: f64) -> f64 {
        self.penalties
            .as_ref()
            .map_or(logit, |penalties| penalties.of(token, logit))
    }

    /// What DRY subtracts from a token's logit.
    pub(super) fn repetition_of(&self, token: TokenId) -> f32 {
        self.dry
            .iter()
            .flat_map(Repetitions::penalties)
            .find_map(|(penalized, penalty)| (penalized == token).then_some(penalty))
            .unwrap_or(0.0)
    }

    /// Notes that a token has been generated.
    pub(super) fn note(&mut self, token: TokenId, classes: &TokenClasses) {
        if let Some(penalties) = &mut self.penalties {
            penalties.note(token);
        }
        if let Some(dry) = &mut self.dry {
            dry.note(token, classes);
        }
    }
}

/// A logit and something more. A finite one stays finite, so that a harsh setting is not taken for a
/// failed model.
fn raised(logit: f32, by: f32) -> f32 {
    if logit.is_finite() {
        (logit + by).clamp(f32::MIN, f32::MAX)
    } else {
        logit
    }
}

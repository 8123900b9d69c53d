//! What samplers and constraints have to know about a vocabulary.

use std::sync::Arc;

use engine_core::{Constraint, Field, GenerateParams, Result, ToolFormat, ToolOptions};

use super::{ChatTemplate, TextPipeline, TokenBytes, decoding::stages};
use crate::{
    TokenClasses,
    constraint::{CallForm, CallGrammar, Grammars, Guide, invalid},
};

impl TextPipeline {
    /// The tokens that the samplers of these settings treat in their own way.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](engine_core::Error::Tokenizer).
    pub fn token_classes(&self, params: &GenerateParams) -> Result<TokenClasses> {
        let mut classes = TokenClasses::default();
        if params.xtc.is_some() {
            classes.protected = self.eos_tokens().to_vec();
            classes
                .protected
                .extend(self.encode("\n", false)?.last().copied());
        }
        if let Some(dry) = &params.dry {
            for breaker in &dry.sequence_breakers {
                if let Some(tokens) = self.token_bytes() {
                    classes.breakers.extend(tokens.containing(breaker));
                }
                // Behind a letter, since at the start of a text some tokenizers put a space first.
                let encoded = self.encode(&format!("a{breaker}"), false)?;
                classes.breakers.extend(encoded.last().copied());
            }
        }
        Ok(classes)
    }

    /// Compiles a constraint for one answer.
    ///
    /// # Errors
    /// [`Error::InvalidConstraint`](engine_core::Error::InvalidConstraint).
    pub(crate) fn constrain(&self, constraint: &Constraint) -> Result<Guide> {
        self.grammars(Field::Constraint)?.compile(constraint)
    }

    /// Compiles a call that must be made.
    ///
    /// # Errors
    /// [`Error::InvalidConstraint`](engine_core::Error::InvalidConstraint).
    pub(crate) fn force_call(
        &self,
        form: CallForm,
        tools: &ToolOptions,
        behind_thought: bool,
    ) -> Result<Guide> {
        let special = |name: &str| {
            let token = self.tokenizer.id(name)?;
            self.tokenizer.piece(token).is_none().then_some(token)
        };
        let call = CallGrammar::new(form, tools, behind_thought, &special);
        self.grammars(Field::ToolChoice)?.compile_call(&call)
    }

    /// How the model writes calls of this format, if a grammar can.
    pub(crate) fn call_form(&self, format: ToolFormat) -> Option<CallForm> {
        // Without the bytes of its tokens no grammar can be followed.
        stages(self.tokenizer.decoder())?;
        let template = self.template.as_ref().map(ChatTemplate::source);
        CallForm::of(format, template.unwrap_or_default())
    }

    /// What grammars are compiled for, made when it is first asked for.
    fn grammars(&self, field: Field) -> Result<&Grammars> {
        let grammars = self.grammars.get_or_init(|| {
            let tokens = self.token_bytes().ok_or_else(|| {
                "the bytes of this model's tokens are not known, since its decoder joins them in a \
                 way of its own"
                    .to_owned()
            })?;
            Grammars::new(tokens, self.eos_tokens()).map(Arc::new)
        });
        match grammars {
            Ok(grammars) => Ok(grammars),
            Err(reason) => Err(invalid(field, reason.clone())),
        }
    }

    /// The bytes of all tokens, read when they are first asked for.
    fn token_bytes(&self) -> Option<&TokenBytes> {
        self.token_bytes
            .get_or_init(|| TokenBytes::new(&self.tokenizer))
            .as_ref()
    }
}

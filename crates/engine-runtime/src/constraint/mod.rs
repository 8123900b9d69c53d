//! Answers of a given form: which tokens may come next.
//!
//! The crate `llguidance` follows a grammar through the bytes of tokens. It is asked for a mask
//! before each choice and told each token that was chosen. Threads that all answers share find
//! masks while the model computes; the model's own thread finds those that none of them has begun.

mod call_grammar;
mod follower;
mod guide;
mod json_schema;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use engine_core::{Constraint, Error, Field, Result, TokenId, ToolDefinition};
use llguidance::{
    ParserFactory, TokenParser,
    api::{GrammarWithLexer, TopLevelGrammar},
    toktrie::{
        ApproximateTokEnv, INVALID_TOKEN, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie,
    },
};
use serde_json::{Value, json};

pub(crate) use self::{
    call_grammar::{CallForm, CallGrammar},
    guide::Guide,
};
use self::{follower::Follower, guide::Finders};
use crate::{panic_message::panic_message, text::TokenBytes};

/// What grammars are compiled for: the bytes of a vocabulary's tokens.
pub(crate) struct Grammars {
    factory: ParserFactory,
    /// Tokens that begin with a space, where the decoder drops a space that begins the text: as a
    /// first token they would look other than their bytes.
    barred_at_first: Option<Arc<[TokenId]>>,
    finders: Arc<Finders>,
}

impl Grammars {
    /// Prepares a vocabulary, which takes some tenths of a second if it is large.
    pub(crate) fn new(tokens: &TokenBytes, end_tokens: &[TokenId]) -> Result<Self, String> {
        let factory = guarded(|| factory(tokens, end_tokens))?;
        let barred_at_first = tokens.drops_first_space().then(|| {
            let all = 0..tokens.len() as TokenId;
            all.filter(|token| tokens.of(*token).first() == Some(&b' '))
                .collect()
        });
        Ok(Self {
            factory,
            barred_at_first,
            finders: Arc::new(Finders::start()),
        })
    }

    /// Compiles a constraint.
    ///
    /// # Errors
    /// [`Error::InvalidConstraint`] if it is malformed, or asks for what can't be enforced.
    pub(crate) fn compile(&self, constraint: &Constraint) -> Result<Guide> {
        let grammar = grammar(constraint).map_err(|reason| invalid(Field::Constraint, reason))?;
        self.guide(grammar, Field::Constraint)
    }

    /// Compiles a call that must be made.
    ///
    /// # Errors
    /// [`Error::InvalidConstraint`] if a tool's schema asks for what can't be enforced; it names the
    /// tool.
    pub(crate) fn compile_call(&self, call: &CallGrammar<'_>) -> Result<Guide> {
        let field = Field::ToolChoice;
        let guide = call
            .lark()
            .map_err(|reason| invalid(field, reason))
            .and_then(|lark| self.guide(TopLevelGrammar::from_lark(lark), field));
        guide.map_err(|error| {
            // The library does not say in which of the schemas it found fault.
            let faults = call.tools().find_map(|tool| {
                let reason = self.fault_of_arguments(tool)?;
                Some(format!("the parameters of {:?}: {reason}", tool.name()))
            });
            faults.map_or(error, |reason| invalid(Field::Tools, reason))
        })
    }

    /// Why the arguments of a tool can't be enforced, if so.
    fn fault_of_arguments(&self, tool: &ToolDefinition) -> Option<String> {
        let schema = Value::Object(tool.parameters().clone());
        let grammar = grammar(&Constraint::JsonSchema(schema));
        let parser = grammar.and_then(|grammar| guarded(|| self.parser(grammar)));
        parser.err()
    }

    /// Begins an answer of a grammar, which the field asks for.
    fn guide(&self, grammar: TopLevelGrammar, field: Field) -> Result<Guide> {
        let parser = guarded(|| self.parser(grammar)).map_err(|reason| invalid(field, reason))?;
        let follower = Follower::new(parser, field, self.barred_at_first.clone())?;
        Ok(Guide::new(follower, Arc::clone(&self.finders)))
    }

    fn parser(&self, grammar: TopLevelGrammar) -> Result<TokenParser, String> {
        let mut parser = self
            .factory
            .create_parser(grammar)
            .map_err(|error| error.to_string())?;
        // The library warns where it goes on with less than was asked for.
        let warnings = parser.grammar_warnings();
        if !warnings.is_empty() {
            return Err(warnings.join("; "));
        }
        parser.start_without_prompt();
        Ok(parser)
    }
}

impl std::fmt::Debug for Grammars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grammars").finish_non_exhaustive()
    }
}

fn factory(tokens: &TokenBytes, end_tokens: &[TokenId]) -> Result<ParserFactory, String> {
    let end_tokens: Vec<_> = end_tokens
        .iter()
        .copied()
        .filter(|token| (*token as usize) < tokens.len())
        .collect();
    let info = TokRxInfo::new(
        tokens.len() as u32,
        end_tokens.first().copied().unwrap_or(INVALID_TOKEN),
    );
    let words: Vec<Vec<u8>> = (0..tokens.len() as TokenId)
        .map(|token| {
            let mut word = tokens.of(token).to_vec();
            if tokens.is_special(token) {
                // Marked so, it is no text, and only a grammar that names it allows it.
                word.insert(0, TokTrie::SPECIAL_TOKEN_MARKER);
            }
            word
        })
        .collect();
    let mut trie = TokTrie::from(&info, &words);
    if !end_tokens.is_empty() {
        trie = trie.with_eos_tokens(&end_tokens);
    }
    // Not canonical: the model chooses among all ways to split a text into tokens.
    let env: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let slices = llguidance::earley::SlicedBiasComputer::general_slices();
    let mut factory = ParserFactory::new(&env, InferenceCapabilities::default(), &slices)
        .map_err(|error| error.to_string())?;
    factory.quiet();
    factory.limits_mut().verbose_errors = false;
    Ok(factory)
}

fn grammar(constraint: &Constraint) -> Result<TopLevelGrammar, String> {
    let of_schema =
        |schema: &Value| json_schema::prepare(schema).map(TopLevelGrammar::from_json_schema);
    match constraint {
        Constraint::JsonObject => of_schema(&json!({ "type": "object" })),
        Constraint::JsonSchema(schema) => of_schema(schema),
        Constraint::Regex(regex) => Ok(TopLevelGrammar {
            grammars: vec![GrammarWithLexer::from_regex(regex)],
            max_tokens: None,
        }),
        Constraint::Lark(grammar) => Ok(TopLevelGrammar::from_lark(grammar.clone())),
        _ => Err("this kind of constraint is not known here".to_owned()),
    }
}

/// An error that names the request's field.
pub(crate) fn invalid(field: Field, reason: impl Into<String>) -> Error {
    Error::InvalidConstraint {
        field,
        reason: reason.into(),
    }
}

/// The library asserts in places that a strange grammar or vocabulary can reach.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        Err(format!(
            "the grammar library panicked: {}",
            panic_message(payload.as_ref())
        ))
    })
}

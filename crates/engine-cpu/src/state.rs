//! Sequences outside of the model: each layer's pages, one behind the other, those that the next
//! token needs and as many before them as a sequence keeps.

use std::sync::Arc;

use engine_core::{Error, Result, SequenceState, StateTensor};

use crate::{
    cache::{Page, PageShape},
    kernels::PAGE,
    pages::LayerPages,
    sequences::Sequence,
};

/// A copy of a sequence's pages, those aside that no later token sees.
pub(crate) fn export(sequence: &Sequence, shape: PageShape) -> SequenceState {
    let mut tensors = Vec::new();
    for (layer, pages) in sequence.layers.iter().enumerate() {
        let kept = pages.kept(sequence.len);
        for (index, (name, dtype, dimensions)) in shape.arrays().into_iter().enumerate() {
            let data = kept
                .iter()
                .filter_map(|page| page.bytes().get(index).copied());
            tensors.push(StateTensor {
                name: tensor_name(layer, name),
                dtype,
                shape: [vec![kept.len()], dimensions].concat(),
                data: data.flatten().copied().collect(),
            });
        }
    }
    SequenceState {
        len: sequence.len,
        tensors,
    }
}

/// The sequence of an export.
///
/// # Errors
/// [`Error::InvalidState`] if it does not fit the model; [`Error::OutOfMemory`].
pub(crate) fn import(
    state: &SequenceState,
    windows: &[Option<usize>],
    shape: PageShape,
) -> Result<Sequence> {
    let mut sequence = Sequence {
        len: state.len,
        layers: Vec::with_capacity(windows.len()),
    };
    for (layer, window) in windows.iter().enumerate() {
        let count = pages_of(state, layer, *window, shape);
        let arrays = shape
            .arrays()
            .into_iter()
            .map(|(name, dtype, dimensions)| {
                let name = tensor_name(layer, name);
                let dimensions = [vec![count], dimensions].concat();
                state
                    .tensor(&name, dtype, &dimensions)
                    .ok_or_else(|| Error::InvalidState {
                        reason: format!("its {name} do not fit the model and its KV cache"),
                    })
            })
            .collect::<Result<Vec<_>>>()?;
        let mut pages = Vec::with_capacity(count);
        for number in 0..count {
            let mut page = Page::new(shape)?;
            for (to, from) in page.bytes_mut().into_iter().zip(&arrays) {
                let first = number * to.len();
                to.copy_from_slice(&from.data[first..first + to.len()]);
            }
            let begin = (state.len.div_ceil(PAGE) - count + number) * PAGE;
            if !page.is_sound((state.len - begin).min(PAGE)) {
                return Err(Error::InvalidState {
                    reason: format!(
                        "the numbers of layer {layer} are beyond what a KV cache holds"
                    ),
                });
            }
            pages.push(Arc::new(page));
        }
        let pages = LayerPages::ending_at(*window, state.len, pages);
        sequence.layers.push(pages);
    }
    Ok(sequence)
}

/// How many pages there are of a layer; the least that would do if the number there can't be.
fn pages_of(state: &SequenceState, layer: usize, window: Option<usize>, shape: PageShape) -> usize {
    let least = LayerPages::needed(window, state.len).len();
    let most = LayerPages::usual(window, state.len).len();
    let arrays = shape.arrays();
    let name = arrays.first().map(|(name, ..)| tensor_name(layer, name));
    let tensors = &mut state.tensors.iter();
    let there = tensors.find(|tensor| Some(&tensor.name) == name.as_ref());
    there
        .and_then(|tensor| tensor.shape.first().copied())
        .filter(|count| (least..=most).contains(count))
        .unwrap_or(least)
}

fn tensor_name(layer: usize, name: &str) -> String {
    format!("layers.{layer}.{name}")
}

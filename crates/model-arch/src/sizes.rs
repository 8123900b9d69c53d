//! How large a model is, from its description alone.

use crate::{DecoderSpec, TensorSpec};

impl TensorSpec {
    /// Numbers in it.
    pub fn elements(&self) -> u64 {
        self.shape
            .iter()
            .fold(1, |product, dim| u64::saturating_mul(product, *dim as u64))
    }
}

impl DecoderSpec {
    /// Numbers in all weights, before quantization; a head that is tied to the embedding does not
    /// count again.
    pub fn parameters(&self) -> u64 {
        self.tensors()
            .fold(0, |sum, tensor| sum.saturating_add(tensor.elements()))
    }

    /// Bytes of all weights in memory: modules that the quantization plan names are packed, with a
    /// scale and a bias for each group; these, and all other weights, take `element_bytes` each.
    ///
    /// Weights may be less packed than their plan says, see
    /// [`QuantizationPlan::for_module`](crate::QuantizationPlan::for_module); then they take more.
    pub fn weight_bytes(&self, element_bytes: u32) -> u64 {
        let element_bytes = u64::from(element_bytes);
        self.tensors().fold(0, |sum, tensor| {
            let elements = tensor.elements();
            let affine = self
                .quantization
                .as_ref()
                .filter(|_| tensor.quantizable)
                .and_then(|plan| plan.for_module(tensor.module()));
            let bytes = match affine {
                None => elements.saturating_mul(element_bytes),
                Some(affine) => {
                    let packed = elements.saturating_mul(u64::from(affine.bits)) / 8;
                    let groups = elements / u64::from(affine.group_size.max(1));
                    packed.saturating_add(groups.saturating_mul(2 * element_bytes))
                }
            };
            sum.saturating_add(bytes)
        })
    }
}

//! Fetches a model with hf-hub: `hf-hub-download OWNER NAME`, with the server and the cache in the
//! environment.

use hf_hub::{HFClient, HFResult};

#[tokio::main]
async fn main() -> HFResult<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(owner), Some(name)) = (arguments.next(), arguments.next()) else {
        panic!("usage: hf-hub-download OWNER NAME");
    };
    let model = HFClient::new()?.model(owner, name);
    model.snapshot_download().send().await?;
    Ok(())
}

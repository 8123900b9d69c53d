//! Lists that come in pages, each with a link to the next.

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use serde::de::DeserializeOwned;

use crate::{
    HubClient, HubError,
    client::{body_of_page, decode},
    http::Call,
    link,
};

/// What remains to be fetched.
struct Rest {
    client: HubClient,
    next: Option<Result<Call, HubError>>,
    /// Entries that are still wanted; `None` is all.
    wanted: Option<usize>,
}

/// The pages from `first` on, up to `wanted` entries, which the last page is cut to.
pub(crate) fn stream<T: DeserializeOwned + Send + 'static>(
    client: HubClient,
    first: Result<Call, HubError>,
    wanted: Option<usize>,
) -> BoxStream<'static, Result<Vec<T>, HubError>> {
    let rest = Rest {
        client,
        next: Some(first),
        wanted,
    };
    stream::try_unfold(rest, |mut rest| async move {
        if rest.wanted == Some(0) {
            return Ok(None);
        }
        let Some(call) = rest.next.take().transpose()? else {
            return Ok(None);
        };
        let (mut entries, next) = page::<T>(&rest.client, &call).await?;
        if let Some(wanted) = &mut rest.wanted {
            entries.truncate(*wanted);
            *wanted -= entries.len();
        }
        rest.next = next.map(Ok);
        Ok(Some((entries, rest)))
    })
    .boxed()
}

/// One page, and the call for the next.
async fn page<T: DeserializeOwned>(
    client: &HubClient,
    call: &Call,
) -> Result<(Vec<T>, Option<Call>), HubError> {
    let (link, body) = client
        .ask(call, |answer| async {
            let link = link::next(answer.headers(), &answer.url);
            Ok((link, body_of_page(answer).await?))
        })
        .await?;
    let next = match link {
        None => None,
        Some(link) => {
            let link = link.map_err(|error| HubError::Decode {
                operation: call.subject.operation.clone(),
                reason: format!("the link to the next page is no address: {error}"),
            })?;
            let url = client.endpoint().page(&link)?;
            if url == call.url {
                return Err(HubError::Decode {
                    operation: call.subject.operation.clone(),
                    reason: "a page names itself as the next".to_owned(),
                });
            }
            Some(Call {
                url,
                ..call.clone()
            })
        }
    };
    Ok((decode(&body, &call.subject)?, next))
}

//! One connection: requests one after the other, until a fault or the client ends it.

use std::io;

use tokio::net::TcpStream;

use crate::{
    Fault, Stage, api,
    body::{self, Ended},
    message::{Answer, Head, Request, read_request},
    resolve::{self, Found},
    server::State,
};

/// Which host is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Hub,
    Cdn,
}

pub(crate) async fn serve(state: &State, mut stream: TcpStream, side: Side) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let latency = state.settings.latency;
    // Making a connection takes a round trip too.
    tokio::time::sleep(latency).await;
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await? {
        tokio::time::sleep(latency).await;
        if side == Side::Cdn && request.header("authorization").is_some() {
            state.lock().stats.leaked_tokens += 1;
        }
        let ended = match side {
            Side::Hub if is_api(&request) => {
                let fault = state.fault(Stage::Api, &request.path, 0);
                let answer = fault
                    .as_ref()
                    .and_then(plain_fault)
                    .unwrap_or_else(|| api::answer(state, &request));
                write(&mut stream, &request, answer, fault.as_ref()).await?
            }
            Side::Hub => match resolve::at_hub(state, &request) {
                Found::Answer(answer, fault) => {
                    let answer = fault.as_ref().and_then(plain_fault).unwrap_or(answer);
                    write(&mut stream, &request, answer, fault.as_ref()).await?
                }
                Found::Body(entry, head) => {
                    body::send(state, &mut stream, &request, &entry, head).await?
                }
            },
            Side::Cdn => match resolve::at_cdn(state, &request) {
                Found::Answer(answer, _) => write(&mut stream, &request, answer, None).await?,
                Found::Body(entry, head) => {
                    body::send(state, &mut stream, &request, &entry, head).await?
                }
            },
        };
        if ended == Ended::Connection {
            break;
        }
    }
    Ok(())
}

fn is_api(request: &Request) -> bool {
    request.path.starts_with("/api/") || request.path == "/__stats"
}

/// The answer that a fault puts in place of the true one.
pub(crate) fn plain_fault(fault: &Fault) -> Option<Answer> {
    match fault {
        Fault::Status { status, headers } => {
            let mut answer = Answer::json(*status, &serde_json::json!({ "error": "on purpose" }));
            for (name, value) in headers {
                answer.head = answer.head.header(name, value);
            }
            Some(answer)
        }
        Fault::Expired => Some(Answer {
            head: Head::new(403).header("Content-Type", "application/xml"),
            body: b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
                .to_vec(),
        }),
        _ => None,
    }
}

async fn write(
    stream: &mut TcpStream,
    request: &Request,
    answer: Answer,
    fault: Option<&Fault>,
) -> io::Result<Ended> {
    match fault {
        Some(Fault::Cut { reset, .. }) => return body::cut(stream, *reset),
        Some(Fault::Stall { .. }) => return body::stall(stream).await,
        _ => {}
    }
    answer.write(stream, request.method != "HEAD").await?;
    Ok(Ended::Answer)
}

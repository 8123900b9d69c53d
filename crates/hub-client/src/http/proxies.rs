//! Proxies as the HTTP library takes them.

use reqwest::{ClientBuilder, NoProxy, Proxy};
use secrecy::{ExposeSecret, SecretString};

use crate::{HubError, Proxies};

/// Adds the proxies; with anything but [`Proxies::System`] the library's own search is off.
pub(super) fn apply(
    mut builder: ClientBuilder,
    proxies: &Proxies,
) -> Result<ClientBuilder, HubError> {
    match proxies {
        Proxies::System => Ok(builder),
        Proxies::Direct => Ok(builder.no_proxy()),
        Proxies::Given {
            http,
            https,
            except,
        } => {
            builder = builder.no_proxy();
            let except = except.as_deref().and_then(NoProxy::from_string);
            if let Some(address) = http {
                let proxy = checked(address, |address| Proxy::http(address))?;
                builder = builder.proxy(proxy.no_proxy(except.clone()));
            }
            if let Some(address) = https {
                let proxy = checked(address, |address| Proxy::https(address))?;
                builder = builder.proxy(proxy.no_proxy(except));
            }
            Ok(builder)
        }
    }
}

fn checked(
    address: &SecretString,
    make: fn(&str) -> reqwest::Result<Proxy>,
) -> Result<Proxy, HubError> {
    // Not quoted, since it may hold a password.
    make(address.expose_secret()).map_err(|_| HubError::InvalidUrl {
        url: "of the proxy".to_owned(),
        reason: "it must look like http://host:port or socks5://host:port".to_owned(),
    })
}

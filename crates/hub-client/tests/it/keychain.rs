//! Tokens in a keychain; the mock of `keyring-core` takes the system's place.

use std::sync::Once;

use hub_client::{Endpoint, HubError, Keychain, Token};
use keyring_core::{Entry, Error, mock};

/// A keychain that no other test uses.
fn keychain(host: &str) -> (Keychain, Entry) {
    static MOCK: Once = Once::new();
    MOCK.call_once(|| keyring_core::set_default_store(mock::Store::new().unwrap()));
    let endpoint = Endpoint::parse(&format!("https://{host}")).unwrap();
    let entry = Entry::new("mlxengine", &endpoint.to_string()).unwrap();
    (Keychain::new(&endpoint), entry)
}

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

#[test]
fn a_token_comes_back_until_it_is_removed() {
    let (keychain, _) = keychain("back.example");
    assert!(keychain.read().unwrap().is_none());
    assert!(!keychain.remove().unwrap());
    keychain.write(&token("hf_one")).unwrap();
    keychain.write(&token("hf_two")).unwrap();
    assert_eq!(keychain.read().unwrap().unwrap().expose(), "hf_two");
    assert!(keychain.remove().unwrap());
    assert!(keychain.read().unwrap().is_none());
}

#[test]
fn each_endpoint_has_its_own_token() {
    let (one, _) = keychain("one.example");
    let (two, _) = keychain("two.example");
    one.write(&token("hf_one")).unwrap();
    assert!(two.read().unwrap().is_none());
}

#[test]
fn a_keychain_that_fails_is_an_error_that_names_the_deed() {
    let (keychain, entry) = keychain("fails.example");
    keychain.write(&token("hf_kept")).unwrap();
    let mock: &mock::Cred = entry.as_any().downcast_ref().unwrap();
    mock.set_error(Error::NoStorageAccess("it is locked".into()));
    let error = keychain.read().unwrap_err();
    assert!(
        matches!(
            error,
            HubError::Keychain {
                operation: "read",
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(keychain.read().unwrap().unwrap().expose(), "hf_kept");
}

#[test]
fn what_is_no_token_is_refused_and_not_shown() {
    let (keychain, entry) = keychain("odd.example");
    entry.set_password("hf_with a space").unwrap();
    let error = keychain.read().unwrap_err();
    assert!(!format!("{error} {error:?}").contains("space "), "{error}");
    entry.set_secret(b"hf_s3cret\xff").unwrap();
    let error = keychain.read().unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("hf_s3cret"), "{shown}");
    // Nor as the numbers of its bytes.
    assert!(!shown.contains("104, 102, 95"), "{shown}");
}

//! The `Link` header (RFC 8288), as far as paging needs it.

use reqwest::header::{HeaderMap, LINK};
use url::Url;

use crate::quoted::{end_of_part, parts};

/// The target with `rel="next"`, relative to the page that was asked for.
pub(crate) fn next(headers: &HeaderMap, page: &Url) -> Option<Result<Url, url::ParseError>> {
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(next_target)
        .map(|target| page.join(target))
}

/// Goes through `<target>; name="value"; ..., <target>; ...`.
fn next_target(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        let (parameters, following) = after.split_at_checked(end_of_part(after, ','))?;
        if is_next(parameters) {
            return Some(target);
        }
        rest = following;
    }
}

fn is_next(parameters: &str) -> bool {
    parts(parameters, ';').any(|parameter| {
        let Some((name, value)) = parameter.split_once('=') else {
            return false;
        };
        // `rel` may list several relations.
        name.trim().eq_ignore_ascii_case("rel")
            && value
                .trim()
                .trim_matches('"')
                .split_whitespace()
                .any(|relation| relation.eq_ignore_ascii_case("next"))
    })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn next_of(header: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, HeaderValue::from_str(header).unwrap());
        let page = Url::parse("https://hub.example/api/models?limit=1").unwrap();
        next(&headers, &page).map(|url| url.unwrap().to_string())
    }

    #[test]
    fn the_next_page_is_found_in_every_spelling() {
        let page = Some("https://hub.example/api/models?cursor=2".to_owned());
        for header in [
            r#"<https://hub.example/api/models?cursor=2>; rel="next""#,
            r"<https://hub.example/api/models?cursor=2>; rel=next",
            r"</api/models?cursor=2>;rel=next",
            r#"<?cursor=1>; rel="prev", <?cursor=2>; rel="next""#,
            r#"<?cursor=1>; title="a, <b>; rel=next \" c"; rel=prev,<?cursor=2>;REL="last NEXT""#,
        ] {
            assert_eq!(next_of(header), page, "{header}");
        }
    }

    #[test]
    fn other_relations_and_broken_headers_have_no_next_page() {
        for header in [
            "",
            "<",
            "<>",
            "next",
            r#"<?cursor=1>; rel="prev""#,
            r#"<?cursor=1>; rel="nextish""#,
            "<?cursor=1>",
            "<?cursor=1; rel=next",
            r#"<?cursor=1>; title="rel=next"#,
        ] {
            assert_eq!(next_of(header), None, "{header}");
        }
    }
}

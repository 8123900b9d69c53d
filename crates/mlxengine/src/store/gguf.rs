//! Repositories of GGUF files: one model in many quantizations, of which one is wanted.

/// Which of the files is the one that is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice<'a> {
    /// None fits.
    None,
    /// This one.
    One(&'a str),
    /// Each of these fits.
    Several(Vec<&'a str>),
}

/// Whether a file is named as GGUF files are.
pub(super) fn is_gguf(name: &str) -> bool {
    name.to_ascii_lowercase().rsplit('.').next() == Some("gguf")
}

/// Whether a file is a model by itself: not a projector for images, statistics of a quantization,
/// or one of several parts, which the engines do not put together.
pub(super) fn is_model(path: &str) -> bool {
    let name = file_name(path).to_ascii_lowercase();
    is_gguf(&name) && !name.starts_with("mmproj") && !name.contains("imatrix") && !is_part(&name)
}

/// Chooses among a repository's files, or those of a snapshot, by a part of the name: the file's
/// name, or a word of it such as `Q4_K_M`. In either case upper and lower case are the same.
pub(super) fn choose<'a>(
    paths: impl IntoIterator<Item = &'a str>,
    wanted: Option<&str>,
) -> Choice<'a> {
    let models: Vec<&str> = paths.into_iter().filter(|path| is_model(path)).collect();
    let Some(wanted) = wanted else {
        return Choice::of(models);
    };
    let exact = |path: &&&str| path.eq_ignore_ascii_case(wanted) || is_named(path, wanted);
    match Choice::of(models.iter().filter(exact).copied().collect()) {
        Choice::None => Choice::of(models.into_iter().filter(|p| says(p, wanted)).collect()),
        choice => choice,
    }
}

impl<'a> Choice<'a> {
    fn of(fitting: Vec<&'a str>) -> Self {
        match fitting.as_slice() {
            [] => Self::None,
            [one] => Self::One(one),
            _ => Self::Several(fitting),
        }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_named(path: &str, wanted: &str) -> bool {
    let name = file_name(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    name.eq_ignore_ascii_case(wanted) || stem.eq_ignore_ascii_case(wanted)
}

/// Whether the words of `wanted` follow each other in the path.
fn says(path: &str, wanted: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let lower = text.to_ascii_lowercase();
        lower.split(['-', '.', '/']).map(str::to_owned).collect()
    };
    let (path, wanted) = (words(path), words(wanted));
    path.windows(wanted.len()).any(|window| window == wanted)
}

/// `…-00001-of-00003.gguf`.
fn is_part(name: &str) -> bool {
    let stem = name.strip_suffix(".gguf").unwrap_or(name);
    let mut words = stem.rsplit('-');
    let is_number = |word: Option<&str>| {
        word.is_some_and(|w| w.len() == 5 && w.bytes().all(|b| b.is_ascii_digit()))
    };
    is_number(words.next()) && words.next() == Some("of") && is_number(words.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&str; 9] = [
        "README.md",
        "Tiny-1B-Q4_K_M.gguf",
        "Tiny-1B-Q4_K_S.gguf",
        "Tiny-1B-UD-Q4_K_M.gguf",
        "Tiny-1B.Q8_0.GGUF",
        "BF16/Tiny-1B-BF16-00001-of-00002.gguf",
        "BF16/Tiny-1B-BF16-00002-of-00002.gguf",
        "mmproj-Tiny-1B-F16.gguf",
        "Tiny-1B.imatrix.gguf",
    ];

    fn chosen(wanted: &str) -> Choice<'static> {
        choose(FILES, Some(wanted))
    }

    #[test]
    fn a_word_of_the_name_chooses() {
        for wanted in ["Q8_0", "q8_0", "Tiny-1B.Q8_0.gguf", "tiny-1b.q8_0"] {
            assert_eq!(chosen(wanted), Choice::One("Tiny-1B.Q8_0.GGUF"), "{wanted}");
        }
        assert_eq!(chosen("UD-Q4_K_M"), Choice::One("Tiny-1B-UD-Q4_K_M.gguf"));
        assert_eq!(chosen("Q4_K_S"), Choice::One("Tiny-1B-Q4_K_S.gguf"));
    }

    #[test]
    fn a_whole_name_counts_more_than_a_word() {
        assert_eq!(
            choose(["a-Q4.gguf", "Q4.gguf"], Some("Q4")),
            Choice::One("Q4.gguf")
        );
    }

    #[test]
    fn part_of_a_word_is_none() {
        for wanted in ["Q4_K", "Q4", "K_M", "", "BF16", "F16", "imatrix", "README"] {
            assert_eq!(chosen(wanted), Choice::None, "{wanted}");
        }
    }

    #[test]
    fn what_is_not_clear_is_not_chosen() {
        assert_eq!(
            chosen("Q4_K_M"),
            Choice::Several(vec!["Tiny-1B-Q4_K_M.gguf", "Tiny-1B-UD-Q4_K_M.gguf"])
        );
        assert!(matches!(choose(FILES, None), Choice::Several(list) if list.len() == 4));
        assert_eq!(choose(["a.gguf", "b.txt"], None), Choice::One("a.gguf"));
    }
}

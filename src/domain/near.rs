//! Which name was probably meant: the nearest of those that there are.

/// The fewest letters that may stand for the beginning of a name.
const LEAST_BEGINNING: usize = 4;

/// The candidate that a misspelt name most likely meant, whatever the case of its letters: at most a third
/// of them wrong. A name may be the beginning of a longer one, a quarter of it wrong.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = name.to_lowercase();
    let length = given.chars().count();
    let candidates: Vec<&str> = candidates.into_iter().collect();
    candidates
        .iter()
        .copied()
        .map(|candidate| {
            let wrong = strsim::damerau_levenshtein(&given, &candidate.to_lowercase());
            (wrong, candidate)
        })
        .filter(|(wrong, candidate)| *wrong <= length.max(candidate.chars().count()).max(3) / 3)
        .min_by_key(|(wrong, _)| *wrong)
        .map(|(_, candidate)| candidate)
        .or_else(|| begun(&given, candidates))
}

/// The candidate that begins like `given`, if one alone does so best.
fn begun<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = given.chars().count();
    let wrong = |candidate: &str| {
        let beginning: String = candidate.to_lowercase().chars().take(length).collect();
        strsim::damerau_levenshtein(given, &beginning)
    };
    let near = candidates
        .into_iter()
        .map(|candidate| (wrong(candidate), candidate));
    let mut near: Vec<_> = near.filter(|(wrong, _)| *wrong <= length / 4).collect();
    near.sort_by_key(|(wrong, _)| *wrong);
    match near.as_slice() {
        [(first, _), (second, _), ..] if first == second => None,
        [(_, candidate), ..] if length >= LEAST_BEGINNING => Some(candidate),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let commands = ["run", "retry", "render"];
        assert_eq!(nearest("rnu", commands), Some("run"));
        assert_eq!(nearest("Rendr", commands), Some("render"));
        assert_eq!(nearest("frobnicate", commands), None);
        let keys = ["api_key_file", "base_url", "price_per_minute"];
        assert_eq!(nearest("api_kee", keys), Some("api_key_file"));
        assert_eq!(
            nearest("nano", ["nanogpt", "openai", "local"]),
            Some("nanogpt")
        );
        assert_eq!(nearest("temp", ["temporary_name", "temperature"]), None);
        assert_eq!(
            nearest("whisper-large-v4", ["Wizper", "Whisper-Large-V3"]),
            Some("Whisper-Large-V3")
        );
    }
}

//! Which name was probably meant: the nearest of those that there are.

/// The candidate that a misspelt name most likely meant, whatever the case of its letters: at most a third
/// of them wrong.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = name.to_lowercase();
    let length = given.chars().count();
    candidates
        .into_iter()
        .map(|candidate| {
            let wrong = strsim::damerau_levenshtein(&given, &candidate.to_lowercase());
            (wrong, candidate)
        })
        .filter(|(wrong, candidate)| *wrong <= length.max(candidate.chars().count()).max(3) / 3)
        .min_by_key(|(wrong, _)| *wrong)
        .map(|(_, candidate)| candidate)
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
        assert_eq!(
            nearest("whisper-large-v4", ["Wizper", "Whisper-Large-V3"]),
            Some("Whisper-Large-V3")
        );
    }
}

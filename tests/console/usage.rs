//! `stenod usage`: the ledger, added up.

use stenod_support::audio::wav;

use super::stage;

#[test]
fn money_and_minutes_are_added_up_by_day_folder_and_model() {
    let stage = stage();
    stage.put("a.wav", &wav(1, 3.0));
    stage.put("b.wav", &wav(2, 6.0));
    stage.put("copy.wav", &wav(1, 3.0));
    stage.stenod(["run", "--yes"]).success();
    stage.put("z.wav", &wav(3, 6.0));
    stage
        .stenod(["run", "--yes", "-m", "Wizper", "--include", "z*"])
        .success();
    let usage = stage.json(&["usage"]);
    assert_eq!(usage["total"]["recordings"], 3, "{usage:#}");
    assert_eq!(usage["total"]["minutes"], "0.2500", "{usage:#}");
    assert_eq!(usage["total"]["cost"]["USD"], "0.001075", "{usage:#}");
    let models = usage["by_model"].as_array().unwrap();
    let names: Vec<_> = models
        .iter()
        .map(|row| row["model"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Whisper-Large-V3", "Wizper"]);
    assert_eq!(models[1]["cost"]["USD"], "0.001", "{usage:#}");
    assert_eq!(usage["by_day"].as_array().unwrap().len(), 1);
    assert_eq!(
        usage["by_folder"][0]["folder"],
        stage.recordings().to_str().unwrap()
    );
    let text = stage.stenod(["usage", "--by", "model"]).success().stdout;
    assert!(
        text.contains("Wizper") && text.contains("$0.001075"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn a_time_limits_it_and_a_wrong_one_is_wrong_usage() {
    let stage = stage();
    assert_eq!(stage.json(&["usage"])["total"]["recordings"], 0);
    stage.put("a.wav", &wav(1, 3.0));
    stage.stenod(["run", "--yes"]).success();
    let past = stage.json(&["usage", "--since", "2001-01-01", "--until", "2001-02-01"]);
    assert_eq!(past["total"]["recordings"], 0, "{past:#}");
    assert_eq!(
        stage.json(&["usage", "--since", "1h"])["total"]["recordings"],
        1
    );
    stage
        .stenod(["usage", "--since", "soon"])
        .code(2)
        .says("2026-03-15");
}

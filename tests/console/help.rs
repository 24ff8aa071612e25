//! Help, completions and the manual, all made from one definition.

use super::stage;

const COMMANDS: [&str; 13] = [
    "run", "watch", "plan", "status", "list", "show", "explain", "retry", "cancel", "usage",
    "doctor", "config", "init",
];

#[test]
fn a_misspelt_command_or_flag_gets_a_suggestion() {
    let stage = stage();
    stage.stenod(["statsu"]).code(2).says("'status'");
    stage
        .stenod(["run", "--langauge", "de"])
        .code(2)
        .says("'--language'");
    stage.stenod(["help", "statsu"]).code(2);
}

#[test]
fn the_manual_and_the_completions_know_every_command() {
    let stage = stage();
    let man = stage.stenod(["man"]).success().stdout;
    assert!(
        man.starts_with(".ie") && man.contains(".TH stenod 1"),
        "{man}"
    );
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = stage.stenod(["completions", shell]).success().stdout;
        for command in COMMANDS {
            assert!(script.contains(command), "{command} is missing for {shell}");
            assert!(
                man.contains(&format!("stenod\\-{command}")),
                "{command} is missing in\n{man}"
            );
        }
    }
    let run = stage.stenod(["man", "run"]).success().stdout;
    assert!(
        run.contains("\\-\\-max\\-cost") && run.contains("Stop before"),
        "{run}"
    );
    for section in ["EXAMPLES", "EXIT STATUS"] {
        assert!(
            run.contains(&format!(".SH \"{section}\"")),
            "{section}\n{run}"
        );
    }
    for section in ["FILES", "ENVIRONMENT", "NOTES"] {
        assert!(
            man.contains(&format!(".SH \"{section}\"")),
            "{section}\n{man}"
        );
    }
    assert!(!man.contains("EXTRA") && !run.contains("EXTRA"), "{run}");
    let bash = stage.stenod(["completions", "bash"]).success().stdout;
    for values in ["auto nanogpt openai local", "queued active waiting"] {
        assert!(bash.contains(values), "{values}");
    }
    stage.stenod(["man", "frobnicate"]).code(2);
    let help = stage.stenod(["help", "run"]).success().stdout;
    assert_eq!(help, stage.stenod(["run", "--help"]).success().stdout);
}

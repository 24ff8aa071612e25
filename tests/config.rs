//! The configuration from outside: files, variables and flags in, settings or mistakes out.

use stenod::config::{Config, Environment, Overrides};

#[test]
fn without_any_file_the_defaults_hold() {
    let environment = Environment::new(Some("/home/ada".into()), "/work");
    let config = Config::load(&environment, None, &Overrides::default()).unwrap();
    assert_eq!(config.file, None);
    assert_eq!(
        config.state_dir,
        std::path::Path::new("/home/ada/.local/state/stenod")
    );
}

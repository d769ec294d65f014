//! Another YAML file than a manifest, such as the daemon's configuration: one document, checked against its type with
//! the same care. It substitutes no variables and knows no such file's fields.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::check::{Checked, Quote, check};
use super::diagnostic::{Diagnostic, Problems, Spot};
use super::file::File;
use super::schema;
use super::yaml::{self, Budget};

/// Reads the document of a file that is called `name`, or reports every mistake in it. An empty file has no fields.
pub fn read<T: JsonSchema + DeserializeOwned>(name: &str, text: &str) -> Result<T, Vec<Diagnostic>> {
    let file = File::of_settings(name.into(), text.trim_start_matches('\u{feff}').into());
    let mut problems = Problems::default();
    let documents = yaml::parse(&file, &mut Budget::default(), &mut problems);
    let value = match &documents[..] {
        [] => Some(Value::Object(Default::default())),
        [document] => match check(&file, document, &schema::of_type::<T>(), Quote::Values, &mut problems) {
            Checked::Right(value) => Some(value),
            Checked::Flawed(_) => None,
        },
        [_, second, ..] => {
            problems.error(&file, second.pos, "this file has one document only");
            None
        }
    };
    let Some(value) = value.filter(|_| problems.is_empty()) else {
        let mut problems = problems.into_sorted();
        for problem in &mut problems {
            problem.message = problem.message.replacen("the manifest", "this file", 1);
        }
        return Err(problems);
    };
    // What the schema cannot say, the type does.
    serde_json::from_value(value).map_err(|error| vec![Diagnostic::error(Spot::file(name), error.to_string())])
}

//! What a minute costs with a model, and who says so.
//!
//! The service's own catalogue comes first, then the program's table of that service with its date, then
//! what was last charged. A price that nobody knows stays unknown, and is never taken for zero.

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::money::Amount;
use super::near::nearest;

/// The prices of a service as this program knows them by itself, read off its public list.
#[derive(Debug, PartialEq, Eq)]
pub struct PriceTable {
    /// When: `2026-08`.
    pub as_of: &'static str,
    /// The same for a person.
    pub as_of_in_words: &'static str,
    /// US dollars a minute by model, as digits and how many of them stand after the point.
    pub per_minute: &'static [(&'static str, (i64, u32))],
}

impl PriceTable {
    /// The models in it.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.per_minute.iter().map(|(name, _)| *name)
    }

    /// US dollars a minute for `model`, whose letter case does not matter.
    pub fn price(&self, model: &str) -> Option<Decimal> {
        let mut listed = self.per_minute.iter();
        let (_, (digits, scale)) = listed.find(|(name, _)| name.eq_ignore_ascii_case(model))?;
        Some(Decimal::new(*digits, *scale))
    }
}

/// What is known of a service's prices: its own list, as it was last given, and the program's table of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    prices: HashMap<String, Decimal>,
    is_configured: bool,
    table: Option<&'static PriceTable>,
}

impl Catalogue {
    /// What is known of a service before it has given a list.
    pub fn built_in(table: Option<&'static PriceTable>) -> Self {
        Self::default().beside(table)
    }

    /// The same list with the program's table of that service beside it.
    #[must_use]
    pub fn beside(self, table: Option<&'static PriceTable>) -> Self {
        Self { table, ..self }
    }

    /// The prices of a service that has no such list, as a person wrote them down.
    pub fn configured(prices: impl IntoIterator<Item = (String, Decimal)>) -> Self {
        Self {
            is_configured: true,
            ..prices.into_iter().collect::<Self>()
        }
    }

    /// The models of the table, and those that the list names, in small letters.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        let table = self.table.into_iter().flat_map(PriceTable::models);
        table.chain(self.prices.keys().map(String::as_str))
    }

    /// US dollars a minute for `model`, whose letter case does not matter.
    fn price(&self, model: &str) -> Option<Price> {
        let by = |source| move |per_minute| Price { per_minute, source };
        let listed = self.prices.get(&model.to_ascii_lowercase()).copied();
        let listed = listed.map(by(if self.is_configured {
            PriceSource::Configured
        } else {
            PriceSource::Catalogue
        }));
        listed.or_else(|| {
            let table = self.table?;
            table.price(model).map(by(PriceSource::BuiltIn(table)))
        })
    }
}

impl FromIterator<(String, Decimal)> for Catalogue {
    fn from_iter<I: IntoIterator<Item = (String, Decimal)>>(prices: I) -> Self {
        let prices = prices.into_iter();
        Self {
            prices: prices
                .map(|(model, price)| (model.to_ascii_lowercase(), price))
                .collect(),
            ..Self::default()
        }
    }
}

/// Who says what a minute costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceSource {
    /// The service, today.
    Catalogue,
    /// The configuration.
    Configured,
    /// The table in this program.
    BuiltIn(&'static PriceTable),
    /// The last charge.
    Learnt,
}

impl PriceSource {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Configured => "configured",
            Self::BuiltIn(_) => "built_in",
            Self::Learnt => "learnt",
        }
    }
}

/// What a minute costs in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Dollars a minute.
    pub per_minute: Decimal,
    /// Who says so.
    pub source: PriceSource,
}

impl Price {
    /// The price of `model` by what is known of the service, else by the last charge.
    pub fn of(model: &str, catalogue: &Catalogue, learnt: Option<Decimal>) -> Option<Self> {
        let learnt = learnt.map(|per_minute| Self {
            per_minute,
            source: PriceSource::Learnt,
        });
        catalogue.price(model).or(learnt)
    }
}

/// The known model that was probably meant by a name that is none of them.
pub fn meant<'a>(model: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest(model, known).filter(|meant| !meant.eq_ignore_ascii_case(model))
}

/// One sentence on what a minute costs with `model`, and by whose word; `known` are names of models that it
/// may be a slip of.
pub fn sentence<'a>(
    model: &str,
    price: Option<Price>,
    known: impl IntoIterator<Item = &'a str>,
) -> String {
    let Some(price) = price else {
        let meant = meant(model, known).map(|meant| format!("; did you mean {meant}?"));
        return format!(
            "nobody knows what {model} costs: no list of prices names it, and nothing was charged for it yet{}",
            meant.unwrap_or_default()
        );
    };
    let by = match price.source {
        PriceSource::Catalogue => "by the service's catalogue".to_owned(),
        PriceSource::Configured => "by service.price_per_minute".to_owned(),
        PriceSource::BuiltIn(table) => format!(
            "by the built-in table of {} (the service has not named one)",
            table.as_of_in_words
        ),
        PriceSource::Learnt => "as charged last (no list names it)".to_owned(),
    };
    format!(
        "{model} at {} a minute, {by}",
        Amount::usd(price.per_minute)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: PriceTable = PriceTable {
        as_of: "2026-08",
        as_of_in_words: "August 2026",
        per_minute: &[("Wizper", (1, 2)), ("Whisper-Large-V3", (5, 4))],
    };

    fn dollars(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn the_catalogue_comes_before_the_table_and_the_table_before_the_last_charge() {
        let catalogue: Catalogue = [("wizper".to_owned(), dollars("0.02"))]
            .into_iter()
            .collect();
        let catalogue = catalogue.beside(Some(&TABLE));
        let table = Catalogue::built_in(Some(&TABLE));
        let learnt = Some(dollars("0.5"));
        let source = |model: &str, catalogue: &Catalogue, learnt| {
            Price::of(model, catalogue, learnt).map(|price| (price.source, price.per_minute))
        };
        assert_eq!(
            source("Wizper", &catalogue, learnt),
            Some((PriceSource::Catalogue, dollars("0.02")))
        );
        assert_eq!(
            source("Wizper", &table, learnt),
            Some((PriceSource::BuiltIn(&TABLE), dollars("0.01")))
        );
        assert_eq!(
            source("unlisted", &catalogue, learnt),
            Some((PriceSource::Learnt, dollars("0.5")))
        );
        assert_eq!(source("unlisted", &catalogue, None), None);
        let other = source("Wizper", &Catalogue::default(), None);
        assert_eq!(other, None, "the table is of another service");
    }

    #[test]
    fn a_sentence_says_who_names_the_price() {
        let sentence = |model: &str, price| sentence(model, price, TABLE.models());
        let price = Price::of("Wizper", &Catalogue::built_in(Some(&TABLE)), None);
        let said = sentence("Wizper", price);
        assert!(said.contains("$0.01 a minute"), "{said}");
        assert!(said.contains("built-in table of August 2026"), "{said}");
        let said = sentence("unlisted", None);
        assert!(
            said.starts_with("nobody knows what unlisted costs"),
            "{said}"
        );
        assert!(!said.contains("did you mean"), "{said}");
        let said = sentence("whisper-large-v4", None);
        assert!(said.ends_with("did you mean Whisper-Large-V3?"), "{said}");
        assert_eq!(meant("whisper-large-v3", TABLE.models()), None);
    }
}

//! What a minute costs with a model, and who says so.
//!
//! The service's own catalogue comes first, then the built-in table with its date, then what was last
//! charged. A price that nobody knows stays unknown, and is never taken for zero.

use std::collections::HashMap;

use rust_decimal::Decimal;

use super::job::Provider;
use super::money::{self, Amount};
use super::near::nearest;

/// The service's own list of prices, as it was last given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    prices: HashMap<String, Decimal>,
    is_configured: bool,
}

impl Catalogue {
    /// The prices of a service that has no such list, as a person wrote them down.
    pub fn configured(prices: impl IntoIterator<Item = (String, Decimal)>) -> Self {
        Self {
            is_configured: true,
            ..prices.into_iter().collect::<Self>()
        }
    }

    /// The models that it names, in small letters.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.prices.keys().map(String::as_str)
    }

    /// US dollars a minute for `model`, whose letter case does not matter.
    fn price(&self, model: &str) -> Option<Price> {
        let per_minute = self.prices.get(&model.to_ascii_lowercase()).copied()?;
        let source = if self.is_configured {
            PriceSource::Configured
        } else {
            PriceSource::Catalogue
        };
        Some(Price { per_minute, source })
    }
}

impl FromIterator<(String, Decimal)> for Catalogue {
    fn from_iter<I: IntoIterator<Item = (String, Decimal)>>(prices: I) -> Self {
        let prices = prices.into_iter();
        Self {
            prices: prices
                .map(|(model, price)| (model.to_ascii_lowercase(), price))
                .collect(),
            is_configured: false,
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
    /// The table in this program, as of [`money::PRICES_AS_OF`].
    BuiltIn,
    /// The last charge.
    Learnt,
}

impl PriceSource {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Configured => "configured",
            Self::BuiltIn => "built_in",
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
    /// The price of `model` by the catalogue, else by the built-in table, which is NanoGPT's, else by the
    /// last charge.
    pub fn of(
        provider: Provider,
        model: &str,
        catalogue: &Catalogue,
        learnt: Option<Decimal>,
    ) -> Option<Self> {
        let by = |source| move |per_minute| Self { per_minute, source };
        let listed = match provider {
            Provider::NanoGpt => money::listed_price(model),
            Provider::OpenAi | Provider::Local => None,
        };
        catalogue
            .price(model)
            .or(listed.map(by(PriceSource::BuiltIn)))
            .or(learnt.map(by(PriceSource::Learnt)))
    }
}

/// The model of the built-in table that was probably meant by a name that is not in it.
pub fn meant(model: &str) -> Option<&'static str> {
    if money::listed_price(model).is_some() {
        return None;
    }
    nearest(model, money::listed_models())
}

/// One sentence on what a minute costs with `model`, and by whose word.
pub fn sentence(model: &str, price: Option<Price>) -> String {
    let Some(price) = price else {
        let meant = meant(model).map(|meant| format!("; did you mean {meant}?"));
        return format!(
            "nobody knows what {model} costs: no list of prices names it, and nothing was charged for it yet{}",
            meant.unwrap_or_default()
        );
    };
    let by = match price.source {
        PriceSource::Catalogue => "by the service's catalogue".to_owned(),
        PriceSource::Configured => "by service.price_per_minute".to_owned(),
        PriceSource::BuiltIn => format!(
            "by the built-in table of {} (the service's catalogue does not say)",
            money::PRICES_AS_OF_IN_WORDS
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

    fn dollars(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn the_catalogue_comes_before_the_table_and_the_table_before_the_last_charge() {
        let catalogue: Catalogue = [("wizper".to_owned(), dollars("0.02"))]
            .into_iter()
            .collect();
        let learnt = Some(dollars("0.5"));
        let source = |model: &str, catalogue: &Catalogue, learnt| {
            Price::of(Provider::NanoGpt, model, catalogue, learnt)
                .map(|price| (price.source, price.per_minute))
        };
        assert_eq!(
            source("Wizper", &catalogue, learnt),
            Some((PriceSource::Catalogue, dollars("0.02")))
        );
        assert_eq!(
            source("Wizper", &Catalogue::default(), learnt),
            Some((PriceSource::BuiltIn, dollars("0.01")))
        );
        assert_eq!(
            source("unlisted", &catalogue, learnt),
            Some((PriceSource::Learnt, dollars("0.5")))
        );
        assert_eq!(source("unlisted", &catalogue, None), None);
        let other = Price::of(Provider::OpenAi, "Wizper", &Catalogue::default(), None);
        assert_eq!(other, None, "the table is of another service");
    }

    #[test]
    fn a_sentence_says_who_names_the_price() {
        let price = Price::of(Provider::NanoGpt, "Wizper", &Catalogue::default(), None);
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
        assert_eq!(meant("whisper-large-v3"), None);
    }
}

//! Pages: strict Handlebars over the embedded `templates/` folder, its texts, and its assets by content hash.
//!
//! In debug builds the files are read from disk, and read again when one of them changes. A template that does not
//! parse stops the start; changed under a running debug build, it is logged and the last good set stays.

mod helpers;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use handlebars::Handlebars;
use parking_lot::Mutex;
use rust_embed::RustEmbed;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::i18n::I18n;

#[derive(RustEmbed)]
#[folder = "../../templates"]
#[include = "*.hbs"]
#[include = "*.ftl"]
#[include = "assets/*"]
struct Embedded;

type Files = BTreeMap<String, Cow<'static, [u8]>>;

/// One consistent reading of the folder.
struct Loaded {
    registry: Handlebars<'static>,
    i18n: Arc<I18n>,
    assets: Arc<Assets>,
}

/// The assets, addressed below one hash over all of them, so that modules and style sheets can name each other by
/// relative paths.
pub struct Assets {
    hash: String,
    files: BTreeMap<String, Cow<'static, [u8]>>,
}

impl Assets {
    /// The immutable address of a file below `templates/assets`.
    pub fn url(&self, path: &str) -> Option<String> {
        self.files.contains_key(path).then(|| format!("/assets/{}/{path}", self.hash))
    }

    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub fn get(&self, path: &str) -> Option<&Cow<'static, [u8]>> {
        self.files.get(path)
    }
}

/// Templates, texts and assets.
pub struct Pages {
    state: Mutex<State>,
}

struct State {
    loaded: Arc<Loaded>,
    stamp: u64,
    looked_at: Instant,
}

/// How often a debug build looks for changed files.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Pages {
    /// The embedded folder.
    ///
    /// # Errors
    /// `Internal`, naming the file and line, when a template or catalogue cannot be read.
    pub fn load() -> Result<Self> {
        let loaded = Arc::new(Loaded::from_files(embedded_files())?);
        Ok(Self { state: Mutex::new(State { loaded, stamp: stamp(), looked_at: Instant::now() }) })
    }

    fn current(&self) -> Arc<Loaded> {
        let mut state = self.state.lock();
        if cfg!(debug_assertions) && state.looked_at.elapsed() > LOOK_AGAIN {
            state.looked_at = Instant::now();
            let stamp = stamp();
            if stamp != state.stamp {
                state.stamp = stamp;
                match Loaded::from_files(embedded_files()) {
                    Ok(fresh) => state.loaded = Arc::new(fresh),
                    Err(error) => tracing::error!(%error, "changed templates are not used"),
                }
            }
        }
        state.loaded.clone()
    }

    /// Renders a template: `name` is its path without `.hbs`.
    ///
    /// # Errors
    /// `Internal` when there is none, or it asks for what the model lacks.
    pub fn render(&self, name: &str, model: &impl Serialize) -> Result<String> {
        self.current().render(name, model)
    }

    pub fn i18n(&self) -> Arc<I18n> {
        self.current().i18n.clone()
    }

    pub fn assets(&self) -> Arc<Assets> {
        self.current().assets.clone()
    }
}

impl Loaded {
    fn from_files(files: Files) -> Result<Self> {
        let mut hasher = Sha256::new();
        let mut assets = BTreeMap::new();
        let mut locales = Vec::new();
        let mut templates = Vec::new();
        for (path, content) in &files {
            if let Some(asset) = path.strip_prefix("assets/") {
                hasher.update(asset.as_bytes());
                hasher.update(content.len().to_be_bytes());
                hasher.update(content);
                assets.insert(asset.to_owned(), content.clone());
                continue;
            }
            let text = std::str::from_utf8(content).map_err(|error| Error::Internal(format!("{path}: {error}")))?;
            if let Some(locale) = path.strip_prefix("locales/") {
                locales.push((locale, text));
            } else if let Some(name) = path.strip_suffix(".hbs") {
                templates.push((name, text));
            }
        }
        let hash = hex::encode(hasher.finalize()).chars().take(16).collect();
        let assets = Arc::new(Assets { hash, files: assets });
        let i18n = Arc::new(I18n::load(locales)?);
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        helpers::register(&mut registry, &i18n, &assets);
        for (name, text) in templates {
            registry.register_template_string(name, text).map_err(|error| Error::Internal(error.to_string()))?;
        }
        Ok(Self { registry, i18n, assets })
    }

    fn render(&self, name: &str, model: &impl Serialize) -> Result<String> {
        self.registry.render(name, model).map_err(|error| Error::Internal(format!("template {name}: {error}")))
    }
}

/// The texts alone, for what speaks to people without a page.
///
/// # Errors
/// `Internal`, naming the file, when a catalogue cannot be read.
pub fn texts() -> Result<I18n> {
    let files = embedded_files();
    let mut locales = Vec::new();
    for (path, content) in &files {
        if let Some(locale) = path.strip_prefix("locales/") {
            locales.push((locale, std::str::from_utf8(content).map_err(Error::internal)?));
        }
    }
    I18n::load(locales)
}

fn embedded_files() -> Files {
    Embedded::iter().filter_map(|path| Some((path.to_string(), Embedded::get(&path)?.data))).collect()
}

/// Changes whenever a file of the folder does.
fn stamp() -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    if cfg!(debug_assertions) {
        for path in Embedded::iter() {
            path.hash(&mut hasher);
            Embedded::get(&path).map(|file| file.metadata.sha256_hash()).hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn loaded(templates: &[(&str, &str)]) -> Result<Loaded> {
        let mut files: Files = [
            ("locales/zh-CN/a.ftl", "greet = 您好，{ $name }"),
            ("locales/en/a.ftl", "greet = Hello, { $name }"),
            ("assets/css/base.css", "body{}"),
            ("assets/icons.svg", "<svg/>"),
        ]
        .into_iter()
        .map(|(path, content)| (path.to_owned(), Cow::Borrowed(content.as_bytes())))
        .collect();
        for (name, text) in templates {
            files.insert(format!("{name}.hbs"), Cow::Owned(text.as_bytes().to_vec()));
        }
        Loaded::from_files(files)
    }

    fn shown(template: &str) -> Result<String> {
        let model = json!({
            "page": { "name": "<b>王</b>", "at": "2026-11-22T16:30:00Z", "items": [{ "x": 1 }] },
            "caller": { "permissions": ["beds.read"] },
            "locale": "en", "zone": "Asia/Shanghai", "csrf": "tok\"en", "form_key": "key",
        });
        loaded(&[("one", template), ("frame", "[{{title}}|{{> @partial-block}}]")])?.render("one", &model)
    }

    #[test]
    fn texts_and_values_are_escaped_and_follow_the_locale() {
        assert_eq!(shown(r#"{{t "greet" name=page.name}}"#).unwrap(), "Hello, &lt;b&gt;王&lt;/b&gt;");
        let framed = shown(r#"{{#> frame title=(t "greet" name="you")}}{{t "greet" name="me"}}{{/frame}}"#).unwrap();
        assert_eq!(framed, "[Hello, you|Hello, me]");
    }

    #[test]
    fn helpers_know_the_page_from_within_loops() {
        let page = shown(
            r#"{{#each page.items}}{{datetime @root.page.at}} {{x}}{{#if (can "beds.read")}} yes{{/if}}{{/each}}"#,
        );
        assert_eq!(page.unwrap(), "2026-11-23 00:30 1 yes");
    }

    #[test]
    fn forms_carry_the_token_and_icons_the_sprite() {
        let form = shown("{{csrf}}").unwrap();
        assert!(form.contains(r#"name="csrf" value="tok&quot;en""#), "{form}");
        assert!(form.contains(r#"name="form_key" value="key""#), "{form}");
        let icon = shown(r#"{{icon "bell"}}"#).unwrap();
        assert!(icon.contains("/icons.svg#bell\"></use></svg>"), "{icon}");
    }

    #[test]
    fn what_the_model_lacks_is_an_error_and_so_is_an_unknown_asset() {
        assert!(shown("{{page.nothing}}").is_err());
        assert!(shown(r#"{{asset "css/none.css"}}"#).is_err());
        assert!(shown(r#"{{asset "css/base.css"}}"#).unwrap().ends_with("/css/base.css"));
    }

    #[test]
    fn a_broken_template_stops_the_start() {
        assert!(loaded(&[("bad", "{{#if x}}")]).is_err());
    }

    #[test]
    fn the_repositorys_templates_load() {
        Pages::load().unwrap();
    }
}

//! URLs as curl and wget take them.

/// A parsed URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `http` or `https`.
    pub scheme: String,
    /// `user:password`, if given.
    pub credentials: Option<String>,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path with query.
    pub path: String,
}

/// Why a text is no URL, with curl's exit code and message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadUrl(pub i32, pub String);

impl Url {
    /// Parses a URL; without a scheme it is `http`.
    pub fn parse(text: &str) -> Result<Url, BadUrl> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => (scheme.to_lowercase(), rest),
            _ => ("http".to_owned(), text),
        };
        if !matches!(scheme.as_str(), "http" | "https") {
            return Err(BadUrl(1, format!("Protocol \"{scheme}\" not supported")));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(BadUrl(3, "URL rejected: Malformed input to a URL function".into()));
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials.to_owned()), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.is_empty() => match port.parse::<u32>() {
                Ok(port) if port <= 65_535 => (host, port as u16),
                _ => return Err(BadUrl(3, "URL rejected: Port number was not a decimal number between 0 and 65535".into())),
            },
            _ => (place.trim_end_matches(':'), if scheme == "https" { 443 } else { 80 }),
        };
        if host.is_empty() {
            return Err(BadUrl(3, "URL rejected: No host part in the URL".into()));
        }
        if !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') || !c.is_ascii()) {
            return Err(BadUrl(3, "URL rejected: Bad hostname".into()));
        }
        let path = path.split('#').next().unwrap_or("");
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { scheme, credentials, host: host.to_lowercase(), port, path })
    }

    /// The `Host` header: the port only when it is not the scheme's own.
    pub fn host_header(&self) -> String {
        let usual = if self.scheme == "https" { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The URL that a `Location` header leads to from here.
    pub fn join(&self, location: &str) -> Result<Url, BadUrl> {
        if location.contains("://") {
            return Url::parse(location);
        }
        let base = self.path.split('?').next().unwrap_or("/");
        let path = match location.strip_prefix('/') {
            Some(_) => location.to_owned(),
            None => format!("{}/{location}", base.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        Ok(Url { path, ..self.clone() })
    }

    /// The URL as text.
    pub fn text(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host_header(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_what_is_none() {
        let url = |text: &str| Url::parse(text).map(|u| (u.scheme, u.host, u.port, u.path));
        assert_eq!(url("frontend:5000/hotels?a=b#c"), Ok(("http".into(), "frontend".into(), 5000, "/hotels?a=b".into())));
        assert_eq!(url("https://x"), Ok(("https".into(), "x".into(), 443, "/".into())));
        assert_eq!(url("http://u:p@10.0.0.1?x"), Ok(("http".into(), "10.0.0.1".into(), 80, "/?x".into())));
        for (text, code) in [("ftp://x", 1), ("http://", 3), ("http://a b", 3), ("http://x:99999", 3), ("http://a{b}/", 3)] {
            assert_eq!(Url::parse(text).map_err(|e| e.0), Err(code), "{text}");
        }
        let base = Url::parse("http://x:81/a/b?c").expect("a URL");
        assert_eq!(base.join("/d").map(|u| u.text()), Ok("http://x:81/d".into()));
        assert_eq!(base.join("d?e").map(|u| u.text()), Ok("http://x:81/a/d?e".into()));
    }
}

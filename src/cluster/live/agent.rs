//! The agent's hands: a connection that acts as its service account, by a short-lived token or, where tokens are refused, by impersonation.

use super::line::Line;
use crate::cluster::{ApiError, ApiRequest, Identity, Subresource};
use crate::object;
use crate::object::resource;
use crate::time::SimTime;
use arcstr::ArcStr;
use kube::Client;
use kube::config::Config;
use std::time::Duration;

/// For how long a token is asked.
const TOKEN_LIFE_S: i64 = 3600;

/// A token is replaced when it has less than this left.
const TOKEN_MARGIN: Duration = Duration::from_secs(600);

/// The service account that the agent acts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAccount {
    /// Namespace.
    pub namespace: ArcStr,
    /// Name.
    pub name: ArcStr,
}

impl AgentAccount {
    /// The account as an identity.
    pub fn identity(&self) -> Identity {
        Identity {
            user: format!("system:serviceaccount:{}:{}", self.namespace, self.name).into(),
            groups: vec![
                arcstr::literal!("system:serviceaccounts"),
                format!("system:serviceaccounts:{}", self.namespace).into(),
                arcstr::literal!("system:authenticated"),
            ],
        }
    }
}

/// How the agent acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acting {
    /// By a token of its service account.
    Token,
    /// By the operator's right to impersonate it.
    Impersonation,
}

/// The agent's connection and until when it is good.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) line: Line,
    pub(super) acting: Acting,
    good_until: SimTime,
}

impl Hands {
    /// Whether it is still good.
    pub(super) fn is_fresh(&self, now: SimTime) -> bool {
        now < self.good_until
    }

    /// Connects as the account.
    pub(super) async fn connect(operator: &Line, config: &Config, account: &AgentAccount, now: SimTime) -> Result<Hands, ApiError> {
        let mut own = config.clone();
        // Nothing of the operator's identity may be left in the agent's connection.
        own.auth_info = kube::config::AuthInfo::default();
        own.headers.clear();
        let line = |client| Line { client, bound: operator.bound, acting_as: None };
        match token(operator, account).await {
            Ok((token, expires)) => {
                own.auth_info.token = Some(token.into());
                Ok(Hands { line: line(client(own)?), acting: Acting::Token, good_until: expires - TOKEN_MARGIN })
            }
            Err(refused) => {
                let mut acting = config.clone();
                let who = account.identity();
                acting.auth_info.impersonate = Some(who.user.to_string());
                acting.auth_info.impersonate_groups = Some(who.groups.iter().map(ToString::to_string).collect());
                let line = line(client(acting)?);
                whoami(&line, &who).await.map_err(|error| both_refused(account, &refused, &error))?;
                Ok(Hands { line, acting: Acting::Impersonation, good_until: now + Duration::from_secs(600) })
            }
        }
    }
}

fn client(config: Config) -> Result<Client, ApiError> {
    Client::try_from(config).map_err(|error| super::line::unreachable(&super::connect::chain(&error)))
}

fn both_refused(account: &AgentAccount, token: &ApiError, impersonation: &ApiError) -> ApiError {
    let text = format!(
        "the agent cannot act as service account {}/{}: a token is refused ({}), and so is impersonation ({})",
        account.namespace, account.name, token.message, impersonation.message
    );
    ApiError::new(403, "Forbidden", text)
}

async fn token(operator: &Line, account: &AgentAccount) -> Result<(String, SimTime), ApiError> {
    let accounts = resource::builtin_named("", "serviceaccounts").ok_or_else(|| ApiError::new(404, "NotFound", "no serviceaccounts"))?;
    let body = object! {
        "apiVersion" => "authentication.k8s.io/v1", "kind" => "TokenRequest", "spec" => object! { "expirationSeconds" => TOKEN_LIFE_S },
    };
    let mut request = ApiRequest::create(accounts, Some(&account.namespace), body).subresource(Subresource::Token);
    request.name = Some(account.name.clone());
    let answer = operator.api(&request).await?.into_object();
    let (token, expires) = (answer.at(&["status", "token"]).text(), answer.at(&["status", "expirationTimestamp"]).text());
    match SimTime::parse_rfc3339(expires) {
        Some(expires) if !token.is_empty() => Ok((token.to_owned(), expires)),
        _ => Err(ApiError::new(500, "InternalError", "the API server issued no token")),
    }
}

/// That the server takes the connection for the account and nobody else.
async fn whoami(line: &Line, who: &Identity) -> Result<(), ApiError> {
    let reviews = resource::builtin_named("authentication.k8s.io", "selfsubjectreviews")
        .ok_or_else(|| ApiError::new(404, "NotFound", "no selfsubjectreviews"))?;
    let body = object! { "apiVersion" => "authentication.k8s.io/v1", "kind" => "SelfSubjectReview" };
    let answer = line.api(&ApiRequest::create(reviews, None, body)).await?.into_object();
    let user = answer.at(&["status", "userInfo", "username"]).text();
    if user == who.user { Ok(()) } else { Err(ApiError::new(403, "Forbidden", format!("the server takes it for {user:?}"))) }
}

"""The shapes of answers, as the OpenAPI document tells them. Answers are not built from these; tests compare them, and
let no answer have a member that its shape does not name."""

package pages

import "html/template"

// defaultMinLength is the least length of a password that is the only factor.
const defaultMinLength = 15

// credentials is the form with a name and a password, on the sign-in page and on the page that asks for proof.
type credentials struct {
	ID, Submit, Busy           string
	SubmitID                   string
	Action                     template.URL
	Hidden                     []Field
	Username                   string
	Fixed                      bool // the name is known and not asked for
	UsernameError, PasswordErr string
	// Summary is the id of the text that explains the error, if there is one.
	Summary string
}

// credentialsForm checks the notice and the field errors of a form with a name and a password, and returns the form, the notice
// that remains to be shown, and the summary of what is wrong.
func (r *Renderer) credentialsForm(c credentials, notice *Notice, errors []FieldError) (*credentials, *message, *problems) {
	m := r.message(notice)
	if notice != nil && notice.Code == "credentials_invalid" && len(errors) == 0 {
		errors = []FieldError{{Field: "password", Code: PasswordWrong}}
	}
	labels := map[string]string{"username": "Email or username", "password": "Password"}
	words := r.check(errors, Facts{}, labels)
	order := []problem{{Field: "username", Label: labels["username"]}, {Field: "password", Label: labels["password"]}}
	p := summary(m, words, order)
	c.UsernameError, c.PasswordErr = words["username"], words["password"]
	if p != nil {
		c.Summary = "error-summary"
		m = nil
	}
	return &c, m, p
}

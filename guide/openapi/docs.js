// Starts Swagger UI on the page of the documentation. All it needs to know stands in the data attributes of #swagger-ui.

const root = document.documentElement;
const settings = document.getElementById('swagger-ui').dataset;

/** Each flow of the Authorize dialog begins with the client that is meant for it; public clients name themselves in the form. */
const clientOfFlow = () => ({
  wrapComponents: {
    oauth2: (Oauth2) => class extends Oauth2 {
      constructor(props, context) {
        super(props, context);
        const known = props.authorized?.get(props.name);
        const password = props.schema.get('flow') === 'password';
        this.state.clientId = known?.get('clientId') || (password ? settings.passwordClient : settings.codeClient);
        this.state.passwordType = known?.get('passwordType') || 'request-body';
      }
    },
  },
});

/**
 * The Authorize dialog opens at its top, where one signs in by password. Each of its forms asks for the cursor when it is drawn, and the
 * last one got it: that is the password of a client, far below.
 */
const beginAtTheTop = () => ({
  wrapComponents: {
    authorizationPopup: (Popup) => class extends Popup {
      componentDidMount(...args) {
        super.componentDidMount?.(...args);
        const first = document.querySelector('.dialog-ux .auth-container');
        (first?.querySelector('input:not([type=checkbox])') ?? first?.querySelector('button'))?.focus({ preventScroll: true });
        document.querySelector('.dialog-ux .modal-ux-content')?.scrollTo(0, 0);
      }
    },
  },
});

/** Enter sends what was typed there, as in any form: Swagger UI draws none around the fields of a flow. */
function sendByEnter({ key, target }) {
  if (key !== 'Enter' || target.tagName !== 'INPUT' || target.form) return;
  target.closest('.dialog-ux .auth-container')?.querySelector('.btn.authorize')?.click();
}

/** A public client has no secret to put into a header: it names itself in the form whatever was chosen in the dialog. */
function nameInForm(request) {
  const [scheme, value] = (request.headers?.Authorization ?? '').split(' ');
  if (request.url !== settings.token || scheme !== 'Basic') return request;
  const [client, secret] = atob(value).split(':');
  if (secret) return request;
  delete request.headers.Authorization;
  request.body += `&client_id=${encodeURIComponent(client)}`;
  return request;
}

function followColours() {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const follow = () => root.classList.toggle('dark-mode', dark.matches);
  dark.addEventListener('change', follow);
  follow();
}

function start() {
  const ui = window.SwaggerUIBundle({
    dom_id: '#swagger-ui',
    url: settings.spec,
    oauth2RedirectUrl: settings.redirect,
    validatorUrl: 'none',
    deepLinking: true,
    docExpansion: 'list',
    defaultModelsExpandDepth: 0,
    displayRequestDuration: true,
    requestInterceptor: nameInForm,
    plugins: [clientOfFlow, beginAtTheTop],
  });
  ui.initOAuth({ scopes: 'openid profile email roles', usePkceWithAuthorizationCodeGrant: true });
}

followColours();
document.addEventListener('keydown', sendByEnter);
// In `broker dev` the page answers under other names of this computer too, but tokens come from the issuer's address alone.
if (location.origin === new URL(settings.page).origin) start();
else location.replace(settings.page + location.hash);

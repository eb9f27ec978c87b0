/** What the reference page reads of an OpenAPI document. */
export interface ReferenceDocument {
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly tags?: readonly { readonly name: string; readonly description?: string }[];
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

interface Operation {
  readonly operationId?: string;
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly security?: readonly Readonly<Record<string, unknown>>[];
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema?: Schema;
  }[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, { readonly schema?: Schema }>> };
  readonly responses?: Readonly<
    Record<
      string,
      {
        readonly description?: string;
        readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>;
      }
    >
  >;
}

interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

/** The page has no script and nothing from elsewhere. */
export const referencePolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

const style = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:14px/1.5 ui-monospace,monospace}details{border:1px solid #8886;border-radius:6px;margin:.5rem 0;padding:.5rem .8rem}
summary{cursor:pointer}table{border-collapse:collapse;width:100%;font-size:14px}td,th{border-bottom:1px solid #8884;padding:.3rem .5rem;text-align:left;vertical-align:top}
.method{display:inline-block;min-width:4rem;font-weight:700}.muted{opacity:.7}`;

/** A reference of all endpoints as one HTML page. */
export function renderReference(document: ReferenceDocument): string {
  const operations = Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const sections = (document.tags ?? []).map((tag) => {
    const own = operations.filter(({ operation }) => operation.tags?.includes(tag.name));
    if (own.length === 0) return '';
    return `<h2 id="${escapeHtml(tag.name)}">${escapeHtml(tag.name)}</h2><p>${escapeHtml(tag.description ?? '')}</p>${own
      .map(({ path, method, operation }) => renderOperation(method, path, operation))
      .join('')}`;
  });
  const { title, version, description = '' } = document.info;
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title><style>${style}</style><h1>${escapeHtml(title)} <span class="muted">${escapeHtml(version)}</span></h1>
<p>${escapeHtml(description)}</p><p><a href="/openapi.json">OpenAPI document</a></p>${sections.join('')}</html>`;
}

function renderOperation(method: string, path: string, operation: Operation): string {
  const callers = (operation.security ?? []).flatMap((each) => Object.keys(each));
  const parts = [
    operation.description ? `<p>${escapeHtml(operation.description)}</p>` : '',
    callers.length > 0 ? `<p class="muted">Called by: ${escapeHtml(callers.join(', '))}</p>` : '',
  ];
  if (operation.parameters?.length) {
    const rows = operation.parameters.map((each) =>
      row(`${each.name}${each.required ? ' *' : ''}`, `${each.in}, ${typeOf(each.schema)}`, each.description),
    );
    parts.push(`<h4>Parameters</h4><table>${rows.join('')}</table>`);
  }
  for (const [type, { schema }] of Object.entries(operation.requestBody?.content ?? {})) {
    parts.push(`<h4>Body <code>${escapeHtml(type)}</code></h4>${renderMembers(schema)}`);
  }
  for (const [status, reply] of Object.entries(operation.responses ?? {})) {
    const schema = Object.values(reply.content ?? {})[0]?.schema;
    const members = status.startsWith('2') ? renderMembers(schema) : '';
    parts.push(
      `<h4>${escapeHtml(status)} <span class="muted">${escapeHtml(reply.description ?? '')}</span></h4>${members}`,
    );
  }
  return `<details id="${escapeHtml(operation.operationId ?? '')}"><summary><span class="method">${escapeHtml(
    method.toUpperCase(),
  )}</span> <code>${escapeHtml(path)}</code> — ${escapeHtml(operation.summary ?? '')}</summary>${parts.join('')}</details>`;
}

function renderMembers(schema: Schema | undefined): string {
  const shown = schema?.type === 'array' ? schema.items : schema;
  if (!shown?.properties) return schema ? `<p><code>${escapeHtml(typeOf(schema))}</code></p>` : '';
  const rows = Object.entries(shown.properties).map(([name, member]) =>
    row(`${name}${shown.required?.includes(name) ? ' *' : ''}`, typeOf(member), describe(member)),
  );
  return `<table>${rows.join('')}</table>`;
}

function describe(schema: Schema): string {
  const example = schema.examples?.[0];
  return [schema.description ?? '', example === undefined ? '' : `Example: ${JSON.stringify(example)}`]
    .filter(Boolean)
    .join(' ');
}

function typeOf(schema: Schema | undefined): string {
  if (!schema) return 'any';
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' | ');
  if (schema.type === 'array') return `list of ${typeOf(schema.items)}`;
  const range =
    schema.minimum !== undefined || schema.maximum !== undefined
      ? ` ${schema.minimum ?? ''}…${schema.maximum ?? ''}`
      : '';
  return (schema.format ?? schema.type ?? 'any') + range;
}

function row(name: string, type: string, text: string | undefined): string {
  return `<tr><td><code>${escapeHtml(name)}</code></td><td>${escapeHtml(type)}</td><td>${escapeHtml(text ?? '')}</td></tr>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

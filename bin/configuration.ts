import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { type Declaration, parseDeclaration } from '#contract/declaration.ts';
import { type GatewaySettings, gatewaySettingsSchema } from '#contract/gateway-settings.ts';
import { check } from '#contract/validation.ts';
import { type OnboardingSettings, onboardingSettingsSchema } from '../control-plane/onboarding/settings.ts';
import { CommandError } from './command.ts';

export interface Configuration {
  readonly declaration: Declaration;
  readonly gateway: GatewaySettings;
  readonly onboarding: OnboardingSettings;
}

interface Fault {
  readonly line: number;
  readonly pointer: string;
  readonly detail: string;
  readonly hint?: string;
}

/** Reads and checks a configuration file; a {@link CommandError} lists every error as `file:line: path: what`. */
export function readConfiguration(
  file: string,
  environment: Readonly<Record<string, string | undefined>>,
): Configuration {
  const shown = shorten(file);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new CommandError(`cannot read ${shown}: ${(error as NodeJS.ErrnoException).code}`);
  }
  const parsed = parseDeclaration(text, { environment });
  if (!parsed.ok) throw refuse(shown, parsed.errors);
  const declaration = parsed.value;
  const { gateway = {}, onboarding = {} } = declaration;
  const faults = [
    ...check(gatewaySettingsSchema, gateway).map((fault) => ({ section: '/gateway', ...fault })),
    ...check(onboardingSettingsSchema, onboarding).map((fault) => ({ section: '/onboarding', ...fault })),
  ].map(({ section, pointer, detail }) => {
    const whole = section + pointer;
    return { line: declaration.lineOf(whole), pointer: whole, detail };
  });
  if (faults.length > 0) throw refuse(shown, faults);
  return {
    declaration,
    gateway: gateway as GatewaySettings,
    onboarding: onboarding as OnboardingSettings,
  };
}

function refuse(file: string, faults: readonly Fault[]): CommandError {
  const lines = faults.map(({ line, pointer, detail, hint }) => {
    const place = pointer === '' ? '' : ` ${pointer.slice(1).replaceAll('/', '.')}:`;
    return `${file}:${line}:${place} ${detail}${hint ? `; ${hint}` : ''}`;
  });
  return new CommandError(lines.join('\n'));
}

function shorten(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith('..') || path === '' ? file : path;
}

/** How a subdomain comes out of the name of an organization. */

export const maxSubdomainLength = 40;
const minSubdomainLength = 3;

/** Letters that Unicode decomposition leaves whole. */
const foldedLetters: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  ħ: 'h',
  ı: 'i',
  ł: 'l',
  ŋ: 'n',
  þ: 'th',
  ŧ: 't',
  '&': ' et ',
  '@': ' at ',
};

/** Names that mean something to people, mail systems, browsers or the operator. */
const reserved = new Set(
  `abuse account accounts admin administrator api app apps assets auth autoconfig autodiscover billing blog cdn cloud
   console control dashboard demo dev dns docs email ftp gateway git help host hostmaster imap info internal isatap
   local localhost login mail metrics mobile monitor mta mx news noc ns ns1 ns2 ns3 ns4 oauth onboarding pay payment
   payments pop pop3 portal postmaster prod production root sandbox secure security shop sip smtp sso ssl staging static
   status store support sysadmin system test tls tollgate usenet vpn webmail webmaster wpad www www1 www2`.split(
    /\s+/,
  ),
);

/** Words that a subdomain must not show, as a whole part between dashes. */
const offensive = new Set(
  `anal anus arse asshole bastard bitch bite bordel branleur chatte chiant chienne cock con conasse connard connasse
   couille couilles cul cunt dick encule enculer enculee fag faggot fasciste foutre fuck fucker fucking hitler kkk
   merde motherfucker nazi negre nigga nigger nique niquer penis porn porno pussy putain pute rape raper retard salaud
   salope sex sexe shit slut tapette tits twat vagin vagina viol whore xxx`.split(/\s+/),
);

/** Digits that are read as letters. */
const readAs: Readonly<Record<string, string>> = { 0: 'o', 1: 'i', 3: 'e', 4: 'a', 5: 's', 7: 't' };

/** Whether a subdomain must not be given to a tenant. */
export function isForbidden(subdomain: string): boolean {
  if (reserved.has(subdomain)) return true;
  const spelled = subdomain.replace(/[013457]/g, (digit) => readAs[digit]!);
  return [subdomain, spelled].some((text) => text.split('-').some((part) => offensive.has(part)));
}

/**
 * The subdomain that a name asks for: letters folded to ASCII, everything else a dash, at most 40 characters, cut at a
 * dash where there is one. Null when the name gives none: nothing or too little of it can be written in ASCII (no
 * `xn--` labels are made, since they could imitate another name), or what comes out is forbidden.
 */
export function deriveSubdomain(name: string): string | null {
  const lower = name
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase();
  const folded = lower.replace(/[ßæœøđðħıłŋþŧ&@]/g, (letter) => foldedLetters[letter]!);
  const letters = folded.match(/[\p{L}\p{N}]/gu)?.length ?? 0;
  const kept = folded.match(/[a-z0-9]/g)?.length ?? 0;
  if (kept * 2 < letters) return null;
  const dashed = folded
    .replace(/['’]/g, '-')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  const label = shorten(dashed, maxSubdomainLength);
  if (label.length < minSubdomainLength || isForbidden(label) || /^\d+$/.test(label)) return null;
  return label;
}

function shorten(label: string, length: number): string {
  if (label.length <= length) return label;
  const cut = label.slice(0, length + 1);
  const dash = cut.lastIndexOf('-');
  return (dash > length / 2 ? cut.slice(0, dash) : cut.slice(0, length)).replace(/-+$/, '');
}

const suffixAlphabet = '23456789abcdefghjkmnpqrstvwxyz';

/** A random part of a subdomain, easy to read aloud. */
export function randomSuffix(random: Uint8Array): string {
  return Array.from(random, (byte) => suffixAlphabet[byte % suffixAlphabet.length]).join('');
}

/**
 * What to try, in this order, until one is free: the derived subdomain, then it with 2, 3, 4, then with a random end;
 * without a derived one, `org-` and a random end. `random` gives as many bytes as it is asked for.
 */
export function* proposeSubdomains(
  derived: string | null,
  random: (length: number) => Uint8Array,
): Generator<string, never> {
  if (derived !== null) {
    yield derived;
    for (let n = 2; n <= 4; n++) yield `${shorten(derived, maxSubdomainLength - 2)}-${n}`;
  }
  for (;;) {
    const end = randomSuffix(random(6));
    const candidate = `${derived === null ? 'org' : shorten(derived, maxSubdomainLength - 7)}-${end}`;
    if (!isForbidden(candidate)) yield candidate;
  }
}

"""Seeded generator of the text that the demo model is trained and tested on.

Every example is a short chat: an optional system message, a user prompt and the assistant's
answer.  Names, cities, products and numbers of two or more digits come from pools that are cut in
two by a checksum: a value belongs either to the training split or to the held-out split, never to
both.  A model that answers held-out prompts correctly therefore copies from the prompt instead of
reciting.  Occupations, prices, days and single digits are not cut and serve both splits.  Sums are
cut by the whole question, and comparisons of numbers are not cut at all.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Split = Literal["train", "held_out"]

HELD_OUT_SHARE = 10
"""One pool value in this many belongs to the held-out split."""


def words(text: str) -> tuple[str, ...]:
    """Split a text at its spaces."""
    return tuple(text.split())


FIRST_NAMES = words(
    "Ada Maria John Anna Peter Sofia Lukas Emma Noah Mia Liam Olivia Elena Ivan Olga Dmitri "
    "Yuki Kenji Aiko Hiro Wei Ling Mei Chen Priya Arjun Ravi Anjali Omar Fatima Ali Layla "
    "Hassan Amina Kwame Ama Kofi Zuri Tariq Nadia Carlos Lucia Diego Carmen Pablo Ines Mateo "
    "Rosa Jorge Paula Giulia Marco Luca Chiara Paolo Bianca Pierre Claire Louis Camille Jules "
    "Manon Hans Greta Karl Heidi Otto Frieda Jonas Lena Felix Clara Max Ida Lars Ingrid Sven "
    "Astrid Erik Freja Nils Signe Mikkel Aino Eero Piotr Kasia Jan Zofia Marek Tomas Jana "
    "Pavel Eva Milan Vesna Goran Mila Nikola Dana Andrei Ioana Mihai Elif Mehmet Ayse Emre "
    "Leila Cyrus Noa Eitan Tamar David Sarah Michael Laura James Emily Robert Grace Thomas "
    "Alice Henry Rose George Ruth Arthur Ella Oscar Lily Jack Ruby Samuel Hannah Daniel Julia "
    "Simon Nina Victor Vera Hugo Iris Leo Nora Paul Edith Bob Carol Dave Frank Helen Kate "
    "Mark Susan Tim Wendy José Zoë Søren Renée Jürgen Noël Björn Łukasz André Chloé Aisha Ben "
    "Tom Sam Linda Karen Steve Bruno Rita Hector Alma Boris Irma Gustav Petra Anton Katrin "
    "Stefan Birgit Uwe Monika Dieter Sabine Viktor Tatiana Yusuf Zainab"
)

SURNAMES = words(
    "Keller Moss Smith Jones Brown Taylor Wilson Evans Walker Wright Hall Green Baker Hill "
    "Young Clark Lewis King Scott Adams Carter Parker Cooper Reed Bell Ward Gray Fox Stone "
    "Wood West Hart Müller Schmidt Weber Wagner Becker Hoffmann Schulz Koch Richter Klein "
    "Wolf Neumann Schwarz Braun Kurz Lang Vogel Frank Berger Winkler Lorenz Huber Meier Rossi "
    "Russo Ferrari Bianchi Romano Ricci Conti Greco Garcia Lopez Perez Sanchez Ramirez Torres "
    "Flores Rivera Gomez Diaz Morales Ortiz Silva Santos Costa Pereira Almeida Dubois Laurent "
    "Moreau Simon Michel Leroy Roux Girard Bonnet Lambert Jansen Visser Bakker Smit Mulder "
    "Larsen Hansen Nielsen Andersen Berg Lund Holm Dahl Strand Lindqvist Nyström Virtanen "
    "Korhonen Novak Kowalski Nowak Horvat Kovac Popov Ivanov Petrov Volkov Sokolov Orlova "
    "Tanaka Suzuki Sato Ito Mori Yamada Kim Park Lee Choi Wang Li Zhang Liu Chen Patel Singh "
    "Sharma Gupta Khan Ahmed Hussein Haddad Mansour Okafor Mensah Diallo Traore Nkosi Abebe "
    "Yilmaz Demir Kaya Cohen Levi Murphy Kelly Walsh Byrne Turing Lovelace Hopper Curie "
    "Noether Franklin Miller Davis Johnson Martin Thompson White Harris Allen"
)

CITIES = words(
    "Bonn Oslo Paris Berlin Madrid Rome Vienna Prague Lisbon Dublin London Leeds York Bristol "
    "Cardiff Boston Chicago Denver Seattle Austin Dallas Houston Miami Portland Toronto "
    "Ottawa Montreal Lima Quito Bogota Santiago Cairo Tunis Lagos Accra Nairobi Kampala Dakar "
    "Tokyo Osaka Kyoto Seoul Busan Beijing Shanghai Delhi Mumbai Pune Karachi Lahore Dhaka "
    "Hanoi Bangkok Manila Jakarta Sydney Perth Auckland Zurich Geneva Basel Munich Hamburg "
    "Cologne Dresden Leipzig Essen Graz Linz Lyon Nice Lille Nantes Milan Turin Naples Venice "
    "Genoa Seville Valencia Porto Ghent Antwerp Utrecht Delft Aarhus Bergen Malmo Uppsala "
    "Helsinki Tampere Tallinn Riga Vilnius Warsaw Krakow Gdansk Brno Zagreb Split Athens "
    "Sofia Bucharest Ankara Izmir Haifa Amman Doha Muscat Geneva"
)

JOBS = words(
    "teacher nurse baker engineer pilot farmer doctor painter writer driver cook lawyer "
    "singer clerk plumber chemist dentist gardener carpenter librarian designer developer "
    "waiter student journalist mechanic photographer musician programmer scientist"
)

ITEMS = words(
    "apples pears bread milk eggs cheese butter rice tea coffee sugar salt pens paper books "
    "lamps chairs tables desks candles soap towels cups plates bowls knives forks spoons "
    "batteries cables mice keyboards screens printers bags boxes shirts socks hats gloves "
    "scarves coats boots tiles nails screws bolts ropes bricks plants seeds flowers pots "
    "onions carrots potatoes lemons nuts"
)

MONTHS = words(
    "January February March April May June July August September October November December"
)

PARTICLES = words("van de von da")

ONSETS = words("b c d f g h j k l m n p r s t v w z br ch cl dr fr gr kl kr ph pr sh st th tr")
VOWELS = words("a e i o u a e i o a e i o u ai ea ie oa")
CODAS = words("n r l s t m n r l s ck nd x ng rt ll")

GOOD_WORDS = words("good great lovely excellent wonderful perfect fine nice")
BAD_WORDS = words("bad awful terrible broken horrible poor dull ugly")

COLUMNS = words("name age city price title year color amount email")

SYSTEM_PROMPTS = (
    "You are a helpful assistant.",
    "You are a careful assistant that answers with JSON only.",
    "Answer with JSON only.",
    "You extract data from text.",
    "You turn text into structured data.",
    "Extract the requested fields and answer in JSON.",
    "Reply briefly.",
    "Be short and exact.",
    "Answer with a single JSON object.",
    "You are a data extraction tool.",
)


@dataclass(frozen=True)
class Example:
    """One chat with its expected answer.

    ``forced`` is a beginning of the answer that is given, as a grammar would give it: the model
    is neither trained nor tested on that part, only on what follows.
    """

    kind: str
    prompt: str
    answer: str
    system: str | None = None
    forced: str = ""
    tools: list[dict[str, Any]] = field(default_factory=list)

    def messages(self) -> list[dict[str, str]]:
        """Return the chat without the assistant's answer."""
        turns = [{"role": "user", "content": self.prompt}]
        if self.system is not None:
            turns.insert(0, {"role": "system", "content": self.system})
        return turns


def split_of(value: object) -> Split:
    """Tell which split a pool value belongs to, by a checksum that never changes."""
    held_out = zlib.crc32(str(value).encode()) % HELD_OUT_SHARE == 0
    return "held_out" if held_out else "train"


def chance(rng: random.Random, probability: float) -> bool:
    """Return True with the given probability."""
    return rng.random() < probability


class Pools:
    """Draws names, numbers and other values that belong to one split."""

    def __init__(self, rng: random.Random, split: Split) -> None:
        self.rng = rng
        self.split = split
        self._lists: dict[int, list[str]] = {}

    def from_list(self, values: Sequence[str]) -> str:
        """Draw from a fixed list, keeping to the values of this split."""
        key = id(values)
        if key not in self._lists:
            self._lists[key] = [value for value in values if split_of(value) == self.split]
        return self.rng.choice(self._lists[key])

    def of_split(self, draw: Callable[[], str]) -> str:
        """Repeat a draw until its result belongs to this split."""
        while True:
            value = draw()
            if split_of(value) == self.split:
                return value

    def number(self, low: int, high: int) -> int:
        """Draw a whole number of this split from low to high inclusive; high is at least 50."""
        return int(self.of_split(lambda: str(self.rng.randint(low, high))))

    def invented_word(self, low: int = 2, high: int = 3) -> str:
        """Draw a pronounceable lower-case word that no list contains."""

        def draw() -> str:
            parts = []
            for _ in range(self.rng.randint(low, high)):
                parts += [self.rng.choice(ONSETS), self.rng.choice(VOWELS)]
                # Every other syllable is open, as in most real names.
                parts.append(self.rng.choice(CODAS) if chance(self.rng, 0.5) else "")
            return "".join(parts)

        return self.of_split(draw)

    def first_name(self) -> str:
        """Draw a first name, real or invented."""
        if chance(self.rng, 0.55):
            return self.from_list(FIRST_NAMES)
        return self.of_split(lambda: self.invented_word(2, 2).capitalize())

    def surname(self) -> str:
        """Draw a surname, real or invented."""
        if chance(self.rng, 0.5):
            return self.from_list(SURNAMES)
        return self.of_split(lambda: self.invented_word(2, 3).capitalize())

    def person(self) -> str:
        """Draw a personal name in one of the usual forms."""
        form = self.rng.random()
        if form < 0.27:
            return self.first_name()
        if form < 0.88:
            return f"{self.first_name()} {self.surname()}"
        if form < 0.91:
            return f"{self.first_name()} {self.rng.choice('ABCDEFGHJKLMNPRSTW')}. {self.surname()}"
        if form < 0.94:
            return f"{self.first_name()}-{self.first_name()} {self.surname()}"
        if form < 0.96:
            return f"{self.first_name()} {self.rng.choice(PARTICLES)} {self.surname()}"
        if form < 0.98:
            return f"{self.first_name()} {self.first_name()} {self.surname()}"
        return f"{self.first_name()} {self.surname()}".lower()

    def city(self) -> str:
        """Draw a city, real or invented."""
        if chance(self.rng, 0.7):
            return self.from_list(CITIES)
        return self.of_split(lambda: self.invented_word(2, 3).capitalize())

    def age(self) -> int:
        """Draw an age; two digits are by far the most common."""
        return self.rng.randint(1, 9) if chance(self.rng, 0.05) else self.number(10, 99)

    def year(self) -> int:
        """Draw a year."""
        return self.number(1930, 2029)

    def amount(self) -> float:
        """Draw a price whose last digit is not zero, so that text and JSON spell it alike."""
        return round(
            self.rng.randint(1, 400) + self.rng.choice([0.25, 0.49, 0.5, 0.75, 0.95, 0.99]), 2
        )

    def date(self) -> str:
        """Draw an ISO date."""
        return f"{self.year()}-{self.rng.randint(1, 12):02d}-{self.rng.randint(1, 28):02d}"

    def email(self, name: str) -> str:
        """Make up an address that resembles the given name."""
        parts = [part.strip(".").lower() for part in name.split()]
        local = self.rng.choice(
            [parts[0], ".".join(parts), parts[-1] + str(self.rng.randint(1, 99))]
        )
        host = self.rng.choice(["example.com", "mail.org", f"{self.invented_word()}.net"])
        return f"{local}@{host}"

    def job(self) -> str:
        """Draw an occupation."""
        return self.rng.choice(JOBS)

    def item(self) -> str:
        """Draw a product in the plural, real or invented."""
        return self.from_list(ITEMS) if chance(self.rng, 0.8) else self.invented_word() + "s"


def to_json(value: Any, indent: int | None = None, minified: bool = False) -> str:
    """Spell a value as JSON in the requested layout."""
    separators = (",", ":") if minified else None
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)


def listing(rng: random.Random, words: Sequence[str]) -> str:
    """Join words as people do: with commas, with "and", or both."""
    if len(words) == 1:
        return words[0]
    if chance(rng, 0.3):
        return ", ".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


@dataclass(frozen=True)
class Person:
    """The facts that a sentence about a person can state."""

    name: str
    age: int
    city: str
    job: str
    year: int


def draw_person(pools: Pools) -> Person:
    """Draw all facts about one person."""
    return Person(pools.person(), pools.age(), pools.city(), pools.job(), pools.year())


AGE_SENTENCES = (
    "{name} is {age} years old.",
    "{name} is {age} years old.",
    "{name} is {age} years old.",
    "{name} is {age}.",
    "{name} is {age} years of age.",
    "{name} is aged {age}.",
    "{name} just turned {age}.",
    "{name} is a {age} year old {job}.",
    "{name} is a {age}-year-old {job}.",
    "{name} ({age}) is a {job}.",
    "{name} ({age}) works in a shop.",
    "{name}, {age}, is a {job}.",
    "{name}, {age} years old, likes music.",
    "{name}, aged {age}, works as a {job}.",
    "{name}'s age is {age}.",
    "{name} has {count} cats and is {age} years old.",
    "{name} has a brother and is {age}.",
    "{name} was born in {year} and is {age} years old.",
    "{name} turned {age} in {year}.",
    "{name} celebrated a birthday in {year} and is now {age} years old.",
    "The age of {name} is {age}.",
    "The {job} {name} is {age} years old.",
    "At {age}, {name} still works as a {job}.",
    "At the age of {age}, {name} became a {job}.",
    "Meet {name}, a {age} year old {job}.",
    "Meet {name}, who is {age} years old.",
    "My name is {name} and I am {age} years old.",
    "My name is {name} and I'm {age}.",
    "My friend {name} is {age} years old.",
    "My sister {name} is {age}.",
    "I am {name}, {age} years old.",
    "I'm {name} and I am {age}.",
    "Hi, I'm {name}, {age}.",
    "Hello, my name is {name}. I am {age} years old.",
    "This is {name}. She is {age} years old.",
    "This is {name}, he is {age} years old.",
    "Our neighbour {name} is {age} years old.",
    "Yesterday {name}, who is {age}, bought {count} {item}.",
    "The {age}-year-old {name} is a {job}.",
    "{age}-year-old {name} works as a {job}.",
    "Name: {name}, Age: {age}",
    "Name: {name}\nAge: {age}",
    "name={name} age={age}",
    "{name}, {age}",
    "{name} works as a {job}. She is {age} years old.",
    "{name} has {count} children. He is {age} years old.",
)

CITY_SENTENCES = (
    "{name} is {age} years old and lives in {city}.",
    "{name} is {age} years old and lives in {city}.",
    "{name} is {age} and lives in {city}.",
    "{name} is {age} years old and works as a {job} in {city}.",
    "{name} is a {age} year old {job} from {city}.",
    "{name} from {city} is {age} years old.",
    "{name} lives in {city} and is {age} years old.",
    "{name} lives in {city}. She is {age}.",
    "{name}, {age}, lives in {city}.",
    "{name} ({age}) lives in {city}.",
    "{name}, aged {age}, moved to {city} in {year}.",
    "{name}, {age}, comes from {city}.",
    "In {city} lives {name}, aged {age}.",
    "In {year}, {name} moved to {city}. He is {age} years old.",
    "My name is {name}, I am {age} years old and I live in {city}.",
    "I'm {name}, {age}, from {city}.",
    "Meet {name}, a {age}-year-old {job} from {city}.",
    "{age}-year-old {name} lives in {city}.",
    "A {job} from {city}, {name}, is {age} years old.",
    "{name} was born in {city} and is {age} years old.",
    "Name: {name}, Age: {age}, City: {city}",
    "{name} has lived in {city} for {count} years and is {age} years old.",
)

KEY_ALIASES = {
    "name": ("name", "name", "name", "full_name", "fullName", "person", "who"),
    "age": ("age", "age", "age", "years", "age_years", "person_age"),
    "city": ("city", "city", "town", "place", "location", "home"),
    "job": ("job", "occupation", "profession"),
}

SOURCES = (
    "from this sentence",
    "from the sentence",
    "from this text",
    "from the text",
    "of the person",
    "in this sentence",
    "from the following text",
    "from the following sentence",
)

VERBS = (
    "Extract",
    "Extract",
    "Extract",
    "Get",
    "Give",
    "Give me",
    "Return",
    "Find",
    "Pull out",
    "Parse",
    "Read",
    "Report",
    "Output",
    "Write",
    "Show",
    "Provide",
    "Tell me",
    "List",
    "Identify",
    "State",
)

FORMATS = ("as JSON", "as JSON", "as a JSON object", "in JSON", "in JSON format", "as JSON data")


def vary_sentence(pools: Pools, text: str) -> str:
    """Now and then drop the final full stop, quote the sentence or put words around it."""
    rng = pools.rng
    roll = rng.random()
    if roll < 0.08:
        return text.rstrip(".")
    if roll < 0.16:
        return f'"{text}"'
    if roll < 0.19:
        return f"'{text}'"
    if roll < 0.24:
        tail = rng.choice(["The weather is nice.", "Everybody likes that.", "The train was late."])
        return f"{text} {tail}"
    return text


def person_sentence(pools: Pools, person: Person, with_city: bool) -> str:
    """State a person's name and age, among other facts, in one sentence."""
    template = pools.rng.choice(CITY_SENTENCES if with_city else AGE_SENTENCES)
    facts = vars(person) | {"count": pools.rng.randint(2, 9), "item": pools.item()}
    return vary_sentence(pools, template.format(**facts))


def default_request(rng: random.Random) -> str:
    """Ask for name and age without naming JSON keys in a list, in many wordings."""
    what = rng.choice(
        (
            "the person",
            "the person",
            "the name and age",
            "the name and the age",
            "name and age",
            "name and age",
            "the person's name and age",
            "the person's details",
            "the personal data",
            "the data",
            "the fields",
            "the person data",
            "the information",
            "the name and their age",
        )
    )
    words = [rng.choice(VERBS), what]
    if chance(rng, 0.35):
        words.append(rng.choice(SOURCES))
    if chance(rng, 0.6):
        words.append(rng.choice(FORMATS))
    request = " ".join(words)
    roll = rng.random()
    if roll < 0.08:
        request = "Please " + request[0].lower() + request[1:]
    elif roll < 0.14:
        request = rng.choice(
            (
                "Who is this?",
                "JSON please",
                "What is the name and age?",
                "Convert to JSON",
                "Turn this into JSON",
                "Make a JSON record",
                "Create a JSON object",
                "What are the name and the age?",
                "Name and age?",
                "How old is the person?",
                "Describe the person as JSON",
                "Make JSON from this",
            )
        )
    return request


def keyed_request(rng: random.Random, keys: Sequence[str], types: Sequence[str]) -> str:
    """Ask for JSON with the given keys, in many wordings."""
    quoted = [f'"{key}"' for key in keys] if chance(rng, 0.3) else list(keys)
    verb = rng.choice(VERBS)
    spelled = listing(rng, quoted)
    plain = ", ".join(f'"{key}": {kind}' for key, kind in zip(keys, types, strict=True))
    dots = ", ".join(f'"{key}": "..."' for key in keys)
    return rng.choice(
        (
            f"{verb} the person as JSON with keys {spelled}",
            f"{verb} the data as JSON with the keys {spelled}",
            f"{verb} {spelled} as JSON",
            f"{verb} {spelled} in JSON",
            f"{verb} {spelled} {rng.choice(SOURCES)} as JSON",
            f"{verb} a JSON object with {spelled}",
            f"{verb} a JSON object with the fields {spelled}",
            f"{verb} JSON with fields {spelled}",
            f"{verb} the person (keys: {spelled})",
            f"Answer as JSON with {spelled}",
            f"Reply in JSON with keys {spelled}",
            f"Use the keys {spelled}",
            f"JSON with {spelled}",
            f"{verb} the person as {{{plain}}}",
            f"Answer in this format: {{{dots}}}",
        )
    )


def schema_request(keys: Sequence[str], types: Sequence[str]) -> str:
    """Ask for JSON that matches a spelled-out JSON schema."""
    properties = {key: {"type": kind} for key, kind in zip(keys, types, strict=True)}
    return "Answer with JSON for this schema: " + to_json(
        {"type": "object", "properties": properties}
    )


def join_request(rng: random.Random, request: str, text: str) -> str:
    """Put a request before or after the text that it is about."""
    if chance(rng, 0.6):
        return request + rng.choice((": ", ": ", ": ", ":\n", ". ", "\n", "\n\n", ".\n")) + text
    request += rng.choice((".", ".", "", ":")) if not request.endswith("?") else ""
    gap = "\n" if text[-1] not in ".\"'" else " "
    return text + rng.choice((gap, gap, "\n", "\n\n")) + request


def layout(rng: random.Random, request: str, value: Any) -> tuple[str, str]:
    """Return the request and the JSON answer, sometimes asking for another layout."""
    roll = rng.random()
    if roll < 0.04:
        return "Use indented JSON. " + request, to_json(value, indent=2)
    if roll < 0.07:
        return "Use minified JSON. " + request, to_json(value, minified=True)
    return request, to_json(value)


def maybe_system(rng: random.Random, probability: float = 0.25) -> str | None:
    """Draw a system prompt, or none."""
    return rng.choice(SYSTEM_PROMPTS) if chance(rng, probability) else None


def choose_keys(rng: random.Random, with_city: bool, with_job: bool) -> list[tuple[str, str]]:
    """Choose (fact, JSON key) pairs: which facts are asked for, under which keys, in what order."""
    facts = ["name", "age"]
    if with_city and chance(rng, 0.5):
        facts.append("city")
    if with_job:
        facts.append("job")
    if chance(rng, 0.3):
        rng.shuffle(facts)
    if len(facts) == 2 and chance(rng, 0.1):
        facts = facts[:1]
    plain = chance(rng, 0.6)
    return [(fact, fact if plain else rng.choice(KEY_ALIASES[fact])) for fact in facts]


def make_person(pools: Pools) -> Example:
    """One sentence with a name and an age, to be turned into a JSON record."""
    rng = pools.rng
    person = draw_person(pools)
    with_city = chance(rng, 0.4)
    text = person_sentence(pools, person, with_city)
    if chance(rng, 0.55):
        record: dict[str, Any] = {"name": person.name, "age": person.age}
        if chance(rng, 0.1):
            return Example("person", text, to_json(record), maybe_system(rng, 0.6))
        request = default_request(rng)
    else:
        chosen = choose_keys(rng, with_city, with_job=False)
        record = {key: getattr(person, fact) for fact, key in chosen}
        keys = [key for _, key in chosen]
        types = ["integer" if fact == "age" else "string" for fact, _ in chosen]
        schema = chance(rng, 0.06)
        request = schema_request(keys, types) if schema else keyed_request(rng, keys, types)
    request, answer = layout(rng, request, record)
    return Example("person", join_request(rng, request, text), answer, maybe_system(rng))


def make_given_keys(pools: Pools) -> Example:
    """A record whose keys the prompt does not list: they are given, the last value is asked for.

    This is what a grammar does to the model: it dictates the keys and the model fills the values.
    """
    rng = pools.rng
    person = draw_person(pools)
    text = f"{person.name} is a {person.age} year old {person.job} from {person.city}."
    if chance(rng, 0.5):
        text = (
            f"{person.name}, {person.age}, lives in {person.city} and works as a {person.job}"
            f"{rng.choice(['.', f' since {person.year}.'])}"
        )
    elif chance(rng, 0.5):
        home = f"lives in {person.city} and is a {person.job}"
        text = f"{person.name} is {person.age} years old, {home}."
    facts = rng.sample(["name", "age", "city", "job"], rng.randint(1, 4))
    record = {rng.choice(KEY_ALIASES[fact]): getattr(person, fact) for fact in facts}
    answer = to_json(record, minified=chance(rng, 0.15))
    last = to_json(list(record.values())[-1]) + "}"
    # The opening quote belongs to the given part, as it ends the token that closes the key.
    forced = answer[: -len(last)] + ('"' if last[0] == '"' else "")
    prompt = join_request(rng, default_request(rng), text) if chance(rng, 0.8) else text
    return Example("given_keys", prompt, answer, maybe_system(rng), forced)


def contact_record(pools: Pools) -> tuple[str, dict[str, Any]]:
    """A person with an e-mail address."""
    name = pools.person()
    email = pools.email(name)
    text = pools.rng.choice(
        (
            f"{name} can be reached at {email}.",
            f"Write to {name} at {email}.",
            f"The address of {name} is {email}.",
            f"Contact: {name} <{email}>",
        )
    )
    return text, {"name": name, "email": email}


def order_record(pools: Pools) -> tuple[str, dict[str, Any]]:
    """An order of one product."""
    name, item, quantity, amount = pools.person(), pools.item(), pools.number(2, 60), pools.amount()
    text = pools.rng.choice(
        (
            f"{name} ordered {quantity} {item} for {amount} euros.",
            f"{name} bought {quantity} {item} and paid {amount} dollars.",
            f"Order from {name}: {quantity} {item}, total {amount}.",
        )
    )
    return text, {"name": name, "item": item, "quantity": quantity, "amount": amount}


def event_record(pools: Pools) -> tuple[str, dict[str, Any]]:
    """A meeting with a date and a place."""
    name, city, date = pools.person(), pools.city(), pools.date()
    text = pools.rng.choice(
        (
            f"{name} speaks in {city} on {date}.",
            f"The meeting with {name} is on {date} in {city}.",
            f"On {date}, {name} arrives in {city}.",
        )
    )
    return text, {"name": name, "city": city, "date": date}


def trip_record(pools: Pools) -> tuple[str, dict[str, Any]]:
    """A journey between two cities."""
    name, start, goal = pools.person(), pools.city(), pools.city()
    text = pools.rng.choice(
        (
            f"{name} travels from {start} to {goal}.",
            f"{name} takes the train from {start} to {goal}.",
        )
    )
    return text, {"name": name, "from": start, "to": goal}


def price_record(pools: Pools) -> tuple[str, dict[str, Any]]:
    """A product with its price and stock."""
    item, amount, stock = pools.item(), pools.amount(), pools.number(1, 900)
    text = pools.rng.choice(
        (
            f"The {item} cost {amount} euros and there are {stock} in stock.",
            f"We have {stock} {item} at {amount} each.",
        )
    )
    return text, {"item": item, "price": amount, "stock": stock}


def nested_record(pools: Pools) -> tuple[str, dict[str, Any]]:
    """A person inside an object, with an address."""
    person = draw_person(pools)
    text = f"{person.name} is {person.age} years old and lives in {person.city}."
    return text, {
        "person": {"name": person.name, "age": person.age},
        "address": {"city": person.city},
    }


def people_record(pools: Pools) -> tuple[str, dict[str, Any]]:
    """Two or three people in an array."""
    people = [draw_person(pools) for _ in range(pools.rng.randint(2, 3))]
    text = " ".join(f"{person.name} is {person.age} years old." for person in people)
    return text, {"people": [{"name": person.name, "age": person.age} for person in people]}


def items_record(pools: Pools) -> tuple[str, dict[str, Any]]:
    """A shopping list as an array of strings."""
    name = pools.person()
    items = [pools.item() for _ in range(pools.rng.randint(2, 5))]
    text = f"{name} buys {listing(pools.rng, items)}."
    return text, {"name": name, "items": items}


RECORDS = (
    contact_record,
    order_record,
    event_record,
    trip_record,
    price_record,
    nested_record,
    people_record,
    items_record,
)


def filler(pools: Pools, count: int) -> str:
    """Sentences that have nothing to do with the question."""
    kinds = (
        lambda: f"The bridge in {pools.city()} was closed for {pools.rng.randint(2, 30)} days.",
        lambda: f"It rained in {pools.city()} all week.",
        lambda: f"The museum sold {pools.number(20, 900)} tickets.",
        lambda: f"A shop in {pools.city()} has new {pools.item()}.",
        lambda: f"Many people visit {pools.city()} in {pools.rng.choice(MONTHS)}.",
    )
    return " ".join(pools.rng.choice(kinds)() for _ in range(count))


def make_record(pools: Pools) -> Example:
    """A short passage about something other than a single person's age, as JSON."""
    rng = pools.rng
    text, record = rng.choice(RECORDS)(pools)
    # A few long passages teach the model to look back far.
    if chance(rng, 0.12):
        count = rng.randint(1, 3) if chance(rng, 0.75) else rng.randint(8, 20)
        before = rng.randint(0, count)
        text = " ".join(
            part for part in (filler(pools, before), text, filler(pools, count - before)) if part
        )
    # The flat records list their keys in the request, some of them in another order.
    keys = list(record)
    if chance(rng, 0.4) and not any(isinstance(value, (dict, list)) for value in record.values()):
        rng.shuffle(keys)
        keys = keys[: rng.randint(1, len(keys))]
    record = {key: record[key] for key in keys}
    spelled = listing(rng, keys)
    nested = record.get("people")
    if "person" in record:
        spelled = "person (name, age) and address (city)"
    elif nested:
        spelled = "people (name, age)"
    request = rng.choice(
        (
            f"Extract {spelled} as JSON",
            f"JSON with keys {spelled}",
            f"Give {spelled} as JSON",
            f"Return a JSON object with {spelled}",
            f"Extract JSON with {spelled}",
        )
    )
    request, answer = layout(rng, request, record)
    return Example("record", join_request(rng, request, text), answer, maybe_system(rng))


def function_tool(name: str, parameters: dict[str, str]) -> dict[str, Any]:
    """Describe a function as chat clients do."""
    properties = {key: {"type": kind} for key, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def make_call(pools: Pools) -> Example:
    """A request that is answered by a function call."""
    rng = pools.rng
    city, other, name, number = pools.city(), pools.city(), pools.person(), pools.number(2, 99)
    item = pools.item()
    calls: list[tuple[str, str, dict[str, Any]]] = [
        (f"What is the weather in {city}?", "get_weather", {"city": city}),
        (f"How is the weather in {city} today?", "get_weather", {"city": city}),
        (f"Will it rain in {city}?", "get_weather", {"city": city}),
        (f"What time is it in {city}?", "get_time", {"city": city}),
        (f"Call {name}.", "call_contact", {"name": name}),
        (f"Send an email to {name} about {item}.", "send_email", {"to": name, "subject": item}),
        (f"Set a timer for {number} minutes.", "set_timer", {"minutes": number}),
        (f"Wake me in {number} minutes.", "set_timer", {"minutes": number}),
        (f"Book a train from {city} to {other}.", "book_train", {"from": city, "to": other}),
        (f"Find flights from {city} to {other}.", "find_flights", {"from": city, "to": other}),
        (f"Order {number} {item}.", "order_item", {"item": item, "quantity": number}),
        (f"Search for {item} in {city}.", "search", {"query": item, "city": city}),
    ]
    question, function, arguments = rng.choice(calls)
    answer = to_json({"name": function, "arguments": arguments})
    kinds = {
        key: "integer" if isinstance(value, int) else "string" for key, value in arguments.items()
    }
    system, tools, prompt = maybe_system(rng, 0.15), [], question
    roll = rng.random()
    if roll < 0.4:
        tools = [function_tool(function, kinds)]
        if chance(rng, 0.3):
            tools.insert(
                rng.randint(0, 1), function_tool(pools.invented_word(), {"text": "string"})
            )
    elif roll < 0.7:
        signature = f"{function}({', '.join(arguments)})"
        prompt = rng.choice(
            (
                f"Function: {signature}. {question}",
                f"{question} Use the function {signature}.",
                f"Call {signature} as JSON: {question}",
                f"{question} Call the function {signature}.",
            )
        )
    else:
        prompt = rng.choice(
            (
                f"Call a function: {question}",
                f"{question} Answer with a function call.",
                f"{question} Give a function call as JSON.",
                f"Function call: {question}",
            )
        )
    return Example("call", prompt, answer, system, tools=tools)


def make_sql(pools: Pools) -> Example:
    """A question about a table that the prompt describes, answered by a query."""
    rng = pools.rng
    table = rng.choice(("people", "users", "orders", "books", "cars", pools.invented_word() + "s"))
    columns = [*rng.sample(COLUMNS, 3), pools.invented_word(1, 2)]
    rng.shuffle(columns)
    wanted, tested = rng.sample(columns, 2)
    number, city = pools.number(2, 99), pools.city()
    question, query = rng.choice(
        (
            (f"Show all {table}.", f"SELECT * FROM {table};"),
            (f"How many {table} are there?", f"SELECT COUNT(*) FROM {table};"),
            (f"List the {wanted} of all {table}.", f"SELECT {wanted} FROM {table};"),
            (
                f"List the {wanted} of {table} with {tested} over {number}.",
                f"SELECT {wanted} FROM {table} WHERE {tested} > {number};",
            ),
            (
                f"List the {wanted} of {table} with {tested} under {number}.",
                f"SELECT {wanted} FROM {table} WHERE {tested} < {number};",
            ),
            (
                f"Show all {table} where {tested} is {city}.",
                f"SELECT * FROM {table} WHERE {tested} = '{city}';",
            ),
            (
                f"List the {wanted} of all {table} sorted by {tested}.",
                f"SELECT {wanted} FROM {table} ORDER BY {tested};",
            ),
            (f"What is the highest {wanted} in {table}?", f"SELECT MAX({wanted}) FROM {table};"),
        )
    )
    described = f"Table {table}({', '.join(columns)})."
    prompt = rng.choice(
        (
            f"{described} {question}",
            f"{described} SQL: {question}",
            f"{described}\nWrite SQL: {question}",
        )
    )
    return Example("sql", prompt, query, maybe_system(rng, 0.1))


def make_arithmetic(pools: Pools) -> Example:
    """A sum, difference or product of small numbers.

    Held-out questions are pairs of operands that training never shows in that order.
    """
    rng = pools.rng

    def draw() -> str:
        roll = rng.random()
        if roll < 0.6:
            return f"{rng.randint(0, 50)} + {rng.randint(0, 50)}"
        if roll < 0.85:
            high = rng.randint(0, 50)
            return f"{high} - {rng.randint(0, high)}"
        return f"{rng.randint(0, 10)} * {rng.randint(0, 10)}"

    sum_text = pools.of_split(draw)
    left, sign, right = sum_text.split()
    results = {
        "+": int(left) + int(right),
        "-": int(left) - int(right),
        "*": int(left) * int(right),
    }
    prompt = rng.choice(
        (f"What is {sum_text}?", f"Calculate {sum_text}.", f"{sum_text} =", f"Compute {sum_text}")
    )
    return Example("arithmetic", prompt, str(results[sign]), maybe_system(rng, 0.1))


def make_copy(pools: Pools) -> Example:
    """A string to repeat; this is the purest form of what every other kind needs."""
    rng = pools.rng

    def piece() -> str:
        return rng.choice(
            (
                pools.person,
                pools.city,
                pools.invented_word,
                pools.item,
                lambda: str(pools.year()),
                lambda: str(pools.number(10, 99999)),
                pools.date,
                lambda: pools.email(pools.person()),
                lambda: "".join(
                    rng.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM0123456789", k=6)
                ),
            )
        )()

    text = " ".join(piece() for _ in range(rng.randint(1, 7)))
    request = rng.choice(
        (
            "Repeat: ",
            "Repeat this: ",
            "Copy: ",
            "Say: ",
            "Repeat after me: ",
            "Write exactly this: ",
        )
    )
    if chance(rng, 0.3):
        return Example("copy", f'{request}"{text}"', f'"{text}"')
    return Example("copy", request + text, text)


def make_sentence(pools: Pools) -> Example:
    """A question that is answered by a short sentence."""
    rng = pools.rng
    person = draw_person(pools)
    sentence = f"{person.name} is a {person.age} year old {person.job} from {person.city}."
    question, answer = rng.choice(
        (
            (f"Where does {person.name} come from?", f"{person.name} comes from {person.city}."),
            (f"How old is {person.name}?", f"{person.name} is {person.age} years old."),
            (f"What does {person.name} do?", f"{person.name} works as a {person.job}."),
            ("Who is this about?", f"This is about {person.name}."),
        )
    )
    prompt = f"{sentence} {question}"
    if chance(rng, 0.3):
        prompt, answer = rng.choice(
            (
                (f"Say hello to {person.name}.", f"Hello, {person.name}!"),
                (f"Write a sentence about {person.city}.", f"{person.city} is a lovely city."),
                (f"My name is {person.name}.", f"Nice to meet you, {person.name}!"),
                ("Hello!", "Hello! How can I help you?"),
                ("Hi", "Hello! How can I help you?"),
                ("Who are you?", "I am a very small demo model."),
                ("Thank you!", "You are welcome!"),
                ("Say hello.", "Hello!"),
            )
        )
    return Example("sentence", prompt, answer, maybe_system(rng, 0.15))


def make_label(pools: Pools) -> Example:
    """A yes-or-no question or a choice between labels."""
    rng = pools.rng
    roll = rng.random()
    if roll < 0.45:
        good = chance(rng, 0.5)
        word = rng.choice(GOOD_WORDS if good else BAD_WORDS)
        text = rng.choice(
            (
                f"The {pools.item()} are {word}.",
                f"{pools.city()} is {word}.",
                f"{pools.person()} says the {pools.item()} are {word}.",
                f"This is {word}!",
            )
        )
        request = rng.choice(("Is this positive or negative?", "Sentiment: positive or negative?"))
        return Example("label", f"{request} {text}", "positive" if good else "negative")
    if roll < 0.75:
        left, right = rng.sample(range(1, 100), 2)
        return Example(
            "label",
            f"Is {left} greater than {right}? Answer yes or no.",
            "yes" if left > right else "no",
        )
    city = pools.city()
    asked = city if chance(rng, 0.5) else pools.city()
    prompt = f"{pools.person()} lives in {city}. Does this mention {asked}? Answer yes or no."
    return Example("label", prompt, "yes" if asked == city else "no")


KINDS: dict[str, tuple[Callable[[Pools], Example], float]] = {
    "person": (make_person, 0.40),
    "given_keys": (make_given_keys, 0.08),
    "record": (make_record, 0.18),
    "call": (make_call, 0.09),
    "sql": (make_sql, 0.06),
    "arithmetic": (make_arithmetic, 0.05),
    "copy": (make_copy, 0.07),
    "sentence": (make_sentence, 0.05),
    "label": (make_label, 0.02),
}
"""Every kind of example with its share of the training text."""


def generate(seed: int, split: Split, kinds: Sequence[str] | None = None) -> Iterator[Example]:
    """Yield examples without end; the same arguments always give the same sequence."""
    rng = random.Random(f"{seed}/{split}")
    pools = Pools(rng, split)
    names = list(kinds or KINDS)
    shares = [KINDS[name][1] for name in names]
    while True:
        kind = rng.choices(names, shares)[0]
        yield KINDS[kind][0](pools)

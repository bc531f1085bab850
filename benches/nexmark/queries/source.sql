-- The topic as the public Nexmark benchmark writes it, and the three relations that its queries read.
CREATE SOURCE nexmark (
    event_type int,
    person struct<id bigint, name text, emailAddress text, creditCard text, city text, state text, dateTime timestamp, extra text>,
    auction struct<id bigint, itemName text, description text, initialBid bigint, reserve bigint, dateTime timestamp,
                   expires timestamp, seller bigint, category bigint, extra text>,
    bid struct<auction bigint, bidder bigint, price bigint, channel text, url text, dateTime timestamp, extra text>
) WITH (connector = 'kafka', topic = '{topic}', properties.bootstrap.server = '{brokers}') FORMAT PLAIN ENCODE JSON;

CREATE VIEW person AS
SELECT (person).id, (person).name, (person).emailAddress, (person).creditCard, (person).city, (person).state, (person).dateTime,
       (person).extra
FROM nexmark WHERE event_type = 0;

CREATE VIEW auction AS
SELECT (auction).id, (auction).itemName, (auction).description, (auction).initialBid, (auction).reserve, (auction).dateTime,
       (auction).expires, (auction).seller, (auction).category, (auction).extra
FROM nexmark WHERE event_type = 1;

CREATE VIEW bid AS
SELECT (bid).auction, (bid).bidder, (bid).price, (bid).channel, (bid).url, (bid).dateTime, (bid).extra
FROM nexmark WHERE event_type = 2;

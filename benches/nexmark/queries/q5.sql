-- Hot items.
WITH bids AS (
    SELECT auction, count(*) AS num, window_start, window_end
    FROM HOP(bid, dateTime, INTERVAL '2 seconds', INTERVAL '10 seconds')
    GROUP BY auction, window_start, window_end
), most AS (
    SELECT max(num) AS num, window_start, window_end FROM bids GROUP BY window_start, window_end
)
SELECT bids.auction, bids.num
FROM bids JOIN most ON bids.window_start = most.window_start AND bids.window_end = most.window_end AND bids.num >= most.num

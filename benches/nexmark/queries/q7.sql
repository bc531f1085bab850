-- Highest bid.
SELECT b.auction, b.price, b.bidder, b.dateTime, b.extra
FROM bid AS b
JOIN (
    SELECT max(price) AS maxprice, window_end
    FROM TUMBLE(bid, dateTime, INTERVAL '10 seconds')
    GROUP BY window_end
) AS top ON b.price = top.maxprice
WHERE b.dateTime BETWEEN top.window_end - INTERVAL '10 seconds' AND top.window_end

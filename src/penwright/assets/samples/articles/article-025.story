A man who had waited for a bus since the previous Tuesday declined to get on when it came.

Philip Marden, 48, an insurance clerk, went to the stop on Beacon Hill at twenty to eight on a working day. Service 22 had been withdrawn that morning, but the notice had blown away. He told reporters that he had expected it at any moment and did not like to leave.

Over eight days he was lent a coat, a folding chair and the collected works of a local poet. He learned the names of forty dogs. A resident of Beacon Hill, Shirley Noon, did his washing and taught him whist.

By the weekend people were walking up to the stop on purpose. One woman asked for advice on her son's wedding. Another simply sat down and said nothing for an hour, and then thanked him.

The operator at last sent out a special bus with a manager on board and a bunch of flowers. Mr Marden looked at it for some time, then told the driver that he was all right, and that he would get the next one.

He has given notice at the insurance office. There is no next one.

@highlight

Philip Marden waited eight days for a bus that had been withdrawn

@highlight

Residents lent him a chair, did his washing and asked his advice

@highlight

He refused to board when a special bus was sent for him
